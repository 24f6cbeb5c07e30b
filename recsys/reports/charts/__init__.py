"""Charts of the pages: matplotlib's figures as inline SVG in the page's colours."""
