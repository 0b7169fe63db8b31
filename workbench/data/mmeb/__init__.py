"""MMEB-v2 as it is published: 78 tasks, and how each turns a row of its own table into a query and its candidates.

Field names, prompts, roots and whitespace follow the evaluation code of TIGER-AI-Lab/VLM2Vec (commit 6e1e1d4, 27 January
2026) and its `experiments/public/eval/*.yaml`; nothing here is guessed but where the tables lie on disk, which that code
leaves to the hub's cache.
"""
