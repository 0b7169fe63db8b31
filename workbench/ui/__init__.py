"""The pages: they place controls, hand what people give to the runner, and show what comes back. No maths here."""
