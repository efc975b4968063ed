"""How the commands read their arguments."""

import argparse
from typing import NoReturn

from mlops_stack import report

# argparse's own exit code for wrong arguments.
_WRONG_ARGUMENTS = 2


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, in the words of the Makefile's variables.

    Users call `make`, so an option's name and the parser's usage would tell them nothing.
    """

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit."""
        for action in self._actions:
            for option in action.option_strings:
                variable = option.removeprefix("--").replace("-", "_").upper()
                message = message.replace(f"argument {option}:", f"{variable}=:")
        report.error(message)
        raise SystemExit(_WRONG_ARGUMENTS)
