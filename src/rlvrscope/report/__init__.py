"""Tables, charts and offline pages. Needs `rlvrscope[report]`."""
