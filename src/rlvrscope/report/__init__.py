"""What was found, for people: tables, charts and offline pages. Needs `rlvrscope[report]`."""
