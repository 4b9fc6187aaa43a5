"""What several screens show in the same words: columns, lines, blast radius."""
