"""What was found, for people: tables, charts and offline pages. Needs `massflow[report]`."""
