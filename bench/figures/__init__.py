"""The measurements, by what they are about; bench/plan.py says what is made of the numbers they return."""
