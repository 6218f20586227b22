"""Runs a Python program that stands on botocore, unmodified but for `conformance.check` before its parser.

`python checked.py aws ...` is the AWS CLI, `python checked.py ecs ...` is ecs-deploy. It is a program of
its own, so a test can put it on the PATH under the program's name.
"""

import sys

import conformance


def aws():
    import awscli.clidriver

    driver = awscli.clidriver.create_clidriver()
    driver.session.register("before-parse", conformance.check)
    return driver.main(sys.argv[2:])


def ecs():
    import botocore.session

    made = botocore.session.Session.__init__

    def checked(self, *arguments, **named):
        made(self, *arguments, **named)
        self.register("before-parse", conformance.check)

    botocore.session.Session.__init__ = checked
    import ecs_deploy.cli

    sys.argv = sys.argv[1:]
    return ecs_deploy.cli.ecs()


if __name__ == "__main__":
    sys.exit({"aws": aws, "ecs": ecs}[sys.argv[1]]())
