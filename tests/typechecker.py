"""The checker that jaxtyping's import hook puts on every annotated function while tests run.

The numeric tower lets an int pass for a float, as type checkers do. It is named here, and not in the pytest options,
because jaxtyping 0.3.11 cannot read a checker with arguments after more than one package.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
