"""What runs beside a student's code: it knows no right answer; of the course it imports the trial of a call alone."""
