"""The runs behind a figure: functions that list them, what is known of each, and the launcher that makes what is
missing."""
