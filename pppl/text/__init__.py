"""Text tasks and encoders; the extra `text` installs what they need."""
