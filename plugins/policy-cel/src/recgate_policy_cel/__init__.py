"""Rules in YAML with conditions in CEL: checked when they are read, judged for every act of a request."""
