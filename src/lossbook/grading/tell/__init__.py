"""What teachers and students get to see."""
