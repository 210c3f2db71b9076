"""{{ cookiecutter.summary }}, for recgate."""
