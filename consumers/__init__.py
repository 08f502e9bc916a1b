"""What happens to token batches, from the model to a snapshot.

Data goes down this list, and so do imports go up it:

- inference: the language model, and which forward computes its hooks
- activations: what is active, from hook values to the non-zeros of a batch; ``engine`` is the
  border to the rest, ``standin`` an engine for tests
- tuning, runs: which micro-batch suits; from what a person asks to a run record and an engine
- selection: what a batch adds to a run, counts and hits
- aggregation: what becomes of these, the state of the shards
- snapshots: what comes out
- oracle: the same in the plainest way, as a second opinion
- health, service: how workers fare; the two apps, and running them
- storage: dense activations by cluster, whole or the best samples'
"""
