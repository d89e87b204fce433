"""Great Expectations: suites, their runner, and the pages about them."""
