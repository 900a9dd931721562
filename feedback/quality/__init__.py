"""What the judgments say of themselves: agreement, people, models, and what would be without some of them."""
