"""Other tools on the same model, dictionary and tokens: ``make bench-peers``.

Each runs in an environment of its own, so ``job``, ``meter`` and the modules ``run_*`` of the peers
import nothing of Millrace; ``run_millrace`` runs in the project's environment.
"""
