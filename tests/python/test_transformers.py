"""Tensor parallelism of Hugging Face's transformers on the backend, with a model that the test makes and saves."""

import pytest
import torch
import torch.distributed as dist

from torch_ranks import group, llama


def parallel(backend, directory):
    from transformers import AutoModelForCausalLM
    from torch.distributed.tensor import DTensor
    with group(backend) as (rank, size):
        whole = llama().eval()
        if rank == 0:
            whole.save_pretrained(directory)
        dist.barrier()
        split = AutoModelForCausalLM.from_pretrained(directory, tp_plan="auto").eval()
        weight = split.model.layers[0].mlp.up_proj.weight
        assert isinstance(weight, DTensor) and weight.to_local().shape[0] * size == 128
        ids = torch.arange(12).reshape(2, 6)
        with torch.no_grad():
            logits = split(ids).logits
            torch.testing.assert_close(logits, whole(ids).logits)
        text = split.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False,
                              pad_token_id=0)
        assert text.shape == (2, 11)
        return logits.tolist(), text.tolist()


@pytest.mark.timeout(200)
def test_tp_plan_auto(run, tmp_path):
    ours, gloo = (run(2, parallel, backend, str(tmp_path / backend)) for backend in ("unisono", "gloo"))
    assert ours == gloo and ours[0] == ours[1]
