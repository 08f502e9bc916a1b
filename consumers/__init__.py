"""What happens to token batches, from the model to the page.

- what is computed: models, model_loading, sources, saes, encoders, rules, hooked, compute,
  timings; chunks, on_device and dense find what is not 0, with the loops of nonzeros and bitmask;
  engine is the border to the rest, standin an engine for tests; specs, clusters, creation and
  run_checks make a run
- what a batch adds: membership, selection, standing, messages; worker puts them together and
  activation_agent wires it to Faust
- dense activations by cluster, whole or the best samples': blocks, top_blocks
- what becomes of it: shards, overlay; aggregate_agent wires it to Faust
- what comes out: tables, samples, shard_writer, snapshots; dashboard shows it
- the second opinion: oracle, oracle_run
- keeping it running: serving, progress, limits, breaker, stall, watchdog, metrics, watching,
  dead_letters, refusals, repair
"""
