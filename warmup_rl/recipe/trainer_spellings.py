"""What trainer configs do not say of themselves: spellings of older versions, and values checked only late."""

from __future__ import annotations

from typing import Any

_GONE = "There is no such option any more"
_RUN = "Where a run lies is the recipe's affair: output_dir and run_name."
_MODEL = "The model is named at the top of the recipe: model, model_revision."

OLD_SPELLINGS: dict[str, str] = {
    "warmup_ratio": "Use 'warmup_steps': a value below 1 is a share of all steps.",
    "max_seq_length": "Use 'max_length'.",
    "max_prompt_length": f"{_GONE}: prompts are never cut.",
    "overwrite_output_dir": _RUN,
    "logging_dir": _RUN,
    "torch_dtype": "Use 'model_init_kwargs: {dtype: ...}'.",
    "dtype": "Use 'model_init_kwargs: {dtype: ...}'.",
    "attn_implementation": "Use 'model_init_kwargs: {attn_implementation: ...}'.",
    "chat_template": "SFTConfig has 'chat_template_path'; a model's template is saved with its tokenizer.",
    "vllm_max_model_len": "Use 'vllm_max_model_length'.",
    "vllm_device": f"{_GONE}: see 'vllm_mode'.",
    "vllm_guided_decoding_regex": "Use 'vllm_structured_outputs_regex'.",
    "use_liger_loss": "Use 'use_liger_kernel'.",
    "evaluation_strategy": "Use 'eval_strategy'.",
    "no_cuda": "Use 'use_cpu'.",
    "per_gpu_train_batch_size": "Use 'per_device_train_batch_size'.",
    "per_gpu_eval_batch_size": "Use 'per_device_eval_batch_size'.",
    "group_by_length": "Use 'train_sampling_strategy: group_by_length'.",
    "save_safetensors": f"{_GONE}: safetensors is the only format.",
    "push_to_hub_token": "Use 'hub_token'.",
    "push_to_hub_model_id": "Use 'hub_model_id'.",
    "dataset_batch_size": _GONE + ".",
    "num_of_sequences": _GONE + ".",
    "wandb_project": "Set 'wandb: {project: ...}' at the top of the recipe.",
    "model_name_or_path": _MODEL,
    "model_revision": _MODEL,
    "dataset_name": "What is trained on is a domain: see 'domains' at the top of the recipe.",
    "reward_funcs": "The domain grades; the stage's 'reward' says what an outcome is worth.",
    "system_prompt": "What a prompt says beside the question is the domain's 'instruction'.",
}
"""What to write instead of an option that trl 1.16 and transformers 5 do not have (any more)."""

LEAST: dict[str, int] = {
    "learning_rate": 0,
    "weight_decay": 0,
    "warmup_steps": 0,
    "max_grad_norm": 0,
    "beta": 0,
    "num_iterations": 1,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
}
"""Least values of options of which trainers take any number."""

MODEL_KEYWORDS = {"torch_dtype": "Use 'dtype'.", "use_flash_attention_2": "Use 'attn_implementation'."}
"""Old keywords inside `model_init_kwargs`."""

LATE_CHOICES: dict[tuple[str, str], tuple[Any, ...]] = {
    ("grpo", "loss_type"): ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"),
    ("grpo", "scale_rewards"): ("group", "batch", "none", True, False),
    ("grpo", "importance_sampling_level"): ("token", "sequence"),
    ("grpo", "multi_objective_aggregation"): ("sum_then_normalize", "normalize_then_sum"),
    ("grpo", "vllm_mode"): ("colocate", "server"),
    ("grpo", "vllm_model_impl"): ("vllm", "transformers"),
    ("grpo", "vllm_importance_sampling_mode"): ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}
"""Values of options whose type is plain text and which trl 1.16 checks at the first step, if at all."""
