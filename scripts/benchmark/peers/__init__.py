"""What users would do instead, each written as somebody who knows that tool well would write it."""
