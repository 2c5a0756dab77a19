"""What an experiment showed, for people: tables, charts and one offline page. Needs `massflow[report]`."""
