"""The engine under lessons and grader: what an exercise is, and how an answer is judged."""
