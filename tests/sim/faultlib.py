# SPDX-License-Identifier: MIT
"""What the tests that let calls fail have in common."""
import unittest

from simlib import RpcError


class FaultCase(unittest.TestCase):
    CODES = ("not-found", "wrong-state", "refused", "timeout", "host-error", "xen-error", "limit",
             "internal")

    def said(self, verb, *arguments, **more):
        """The answer of a verb: None, or a defined error."""
        try:
            verb(*arguments, **more)
        except RpcError as e:
            self.assertIn(e.data.get("code"), self.CODES, e)
            self.assertTrue(e.data.get("reason"), e)
            return e
        return None
