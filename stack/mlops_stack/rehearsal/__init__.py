"""`make rehearse`: the AWS stack up and down without an account."""
