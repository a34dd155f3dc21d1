"""What can be read off a code by a straight line: scenes met as a policy meets them, and linear readouts of true
factors."""
