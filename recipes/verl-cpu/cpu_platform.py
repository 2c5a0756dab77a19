# pyright: reportMissingImports=false
"""verl without a GPU, for tests only: a platform that runs on the processor, and a rollout engine on transformers.

verl imports this module in each process where VERL_USE_EXTERNAL_MODULES names it. Ray counts the processor
as one GPU; communication is gloo's. Nothing of it is installed with rlvrscope.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import types
from collections.abc import Generator, Iterator
from typing import Any

import ray
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.workers.rollout import base, replica

SERVER = "transformers_server"
os.environ["VERL_ENGINE_DEVICE"] = "cuda"  # verl names no engine for "cpu"; its FSDP2 runs there
GATHER_SECONDS = 0.05
"""Time that a request waits for others to share its batch."""


def _nothing(*_: Any, **__: Any) -> int:
    return 0


class _Processor(types.ModuleType):
    """torch.cpu, with the functions of torch.cuda that verl calls and the processor has no use for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(torch.cpu, name, _nothing)

    get_rng_state, set_rng_state = staticmethod(torch.get_rng_state), staticmethod(torch.set_rng_state)
    mem_get_info = staticmethod(lambda *_: (0, 0))
    get_device_name = staticmethod(lambda *_: "CPU")


_init_process_group = torch.distributed.init_process_group


def _with_one_backend(backend: str | None = None, **settings: Any) -> None:
    """Begin torch's process group; verl asks for gloo twice, for the processor and for the device."""
    _init_process_group("gloo" if backend == "cpu:gloo,cpu:gloo" else backend, **settings)


torch.distributed.init_process_group = _with_one_backend


@PlatformRegistry.register(platform="cpu")
class Cpu(PlatformBase):
    device_name, vendor_name, device_module = "cpu", "cpu", _Processor("processor")
    set_device = synchronize = set_allocator_settings = empty_cache = profiler_start = profiler_stop = _nothing
    manual_seed = manual_seed_all = staticmethod(torch.manual_seed)  # noqa: TID251  verl seeds by it

    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:  # type: ignore[reportIncompatibleMethodOverride]
        return "cpu"  # verl moves models to it, and torch takes a number for a GPU's

    def device_count(self) -> int:
        return 1

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:  # noqa: ARG002
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:  # noqa: ARG002
        yield


@ray.remote(num_cpus=0)
class TransformersServer:
    """Answers verl's requests for completions, gathered into batches of equal sampling parameters."""

    def __init__(self, model: str, max_tokens: int) -> None:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self.max_tokens, self.step = max_tokens, 0
        self.waiting: list[tuple[list[int], dict[str, Any], asyncio.Future[Any]]] = []

    async def load(self, weights: dict[str, torch.Tensor], step: int | None) -> None:
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        assert not unexpected, unexpected
        assert all(self.model.config.tie_word_embeddings and "lm_head" in name for name in missing), missing
        self.step = step or 0

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> replica.TokenOutput:
        del request_id
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((list(prompt_ids), dict(sampling_params), answer))
        if len(self.waiting) == 1:
            await asyncio.sleep(GATHER_SECONDS)
            batch, self.waiting = self.waiting, []
            for one in batch:
                same = [other for other in batch if other[1] == one[1] and not other[2].done()]
                if same:
                    self._answer(same)
        return await answer

    @torch.inference_mode()
    def _answer(self, batch: list[tuple[list[int], dict[str, Any], asyncio.Future[Any]]]) -> None:
        width, params = max(len(prompt) for prompt, _, _ in batch), batch[0][1]
        end = self.model.generation_config.eos_token_id
        ids = torch.tensor([[end] * (width - len(prompt)) + prompt for prompt, _, _ in batch])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt, _, _ in batch])
        drawn = self.model.generate(
            ids, attention_mask=mask, max_new_tokens=params.get("max_tokens") or self.max_tokens, do_sample=True,
            temperature=params["temperature"], top_p=params["top_p"], top_k=0, pad_token_id=end,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        logp_TBV = torch.stack([torch.log_softmax(logits / params["temperature"], -1) for logits in drawn.logits])
        for row, (_, _, answer) in enumerate(batch):
            tokens = drawn.sequences[row, width:].tolist()
            ended = end in tokens
            tokens = tokens[: tokens.index(end) + 1] if ended else tokens
            logps = [float(logp_TBV[place, row, token]) for place, token in enumerate(tokens)]
            answer.set_result(
                replica.TokenOutput(
                    token_ids=tokens, log_probs=logps, stop_reason="completed", extra_fields={"global_steps": self.step}
                )
            )

    async def control(self, *_: Any, **__: Any) -> None:
        """Answer to verl's orders about memory and pauses, which the processor has no use for."""

    wake_up = sleep = abort_all_requests = resume_generation = control
    clear_kv_cache = release_kv_cache = resume_kv_cache = start_profile = stop_profile = control


class TransformersReplica(replica.RolloutReplica):
    async def launch_servers(self) -> None:
        model, config = self.model_config.path, self.config
        server = TransformersServer.options(name=f"{SERVER}_{self.replica_rank}").remote(model, config.response_length)
        self.servers, self._server_handle, self._server_address = [server], server, f"{SERVER}_{self.replica_rank}"


class TransformersRollout(base.BaseRollout):
    """The trainer's side of the engine: sends it the weights."""

    async def update_weights(self, weights: Generator[tuple[str, torch.Tensor], None, None], **more: Any) -> None:
        state = {name: tensor.detach().cpu().clone() for name, tensor in weights}
        await ray.get_actor(f"{SERVER}_0").load.remote(state, more.get("global_steps"))

    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...


base._ROLLOUT_REGISTRY[("transformers", "async")] = "cpu_platform.TransformersRollout"
replica.RolloutReplicaRegistry.register("transformers", lambda: TransformersReplica)
