"""What makes a step fast on a GPU, in one place: compiled losses, CUDA graphs, and which of them a run uses.

The trainer's code is the same with and without: `Compiled` stands for a function, `Graphs` for a call. Whatever cannot
be had is one line in ``notes``, and the run goes on without it.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor

from wgan.training.config import Config
from wgan.training.distributed import World
from wgan.training.step.allocator import keep_freed_memory
from wgan.training.step.kernels import choose_kernels

Given = ParamSpec("Given")
Result = TypeVar("Result")
Step = Callable[..., None]

WARMUP = 3  # plain calls before a step is recorded: kernels are chosen, functions compiled, moments allocated


class Fast:
    """Which tricks a run uses: all on one CUDA device; on a CPU, unless the settings say so, memory that is kept alone.

    Attributes:
        compile: losses are compiled.
        compile_generator: of the generator too.
        graphs: steps are recorded once and replayed.
        together: the critic scores real and fake images in one pass, exact where images do not see each other.
        channels_last: weights and features lie as the tensor cores read them. Only compiled: torch's own GroupNorm
            would copy its input to the other layout and back.
    """

    def __init__(self, config: Config, device: torch.device, world: World):
        cuda = device.type == "cuda"
        self._notes: list[str] = []
        if cuda:
            choose_kernels(config)
        else:
            keep_freed_memory()
            if config.tf32:
                self.note("tf32=true changes nothing here: only CUDA has TF32")
        self.compile = config.compile == "on" or (config.compile == "auto" and cuda)
        if self.compile and config.activation_checkpointing:
            self.compile = False
            self.note("not compiled: activation_checkpointing=true cannot be (compile=off says nothing of it)")
        if self.compile:  # it is for the user to say: tf32
            warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        # torch's SyncBatchNorm talks to the other GPUs in the middle of a generator: there the critic alone is compiled
        self.compile_generator = not (cuda and world.size > 1)
        self.graphs = config.cuda_graphs == "auto" and cuda and world.size == 1  # processes wait for each other
        self.together = cuda and config.minibatch == "none"
        self.channels_last = cuda and self.compile

    def laid_out(self, network: Any) -> Any:
        """The network, its weights in the layout of the device."""
        return network.to(memory_format=torch.channels_last) if self.channels_last else network

    def renew(self) -> None:
        """Drops what was compiled for other resolutions or by an earlier trainer: it counts against a limit."""
        if self.compile:
            torch.compiler.reset()

    @property
    def static(self) -> bool:
        """Whether what changes from step to step must be a tensor: a number would be compiled or recorded as it is."""
        return self.compile or self.graphs

    def note(self, line: str) -> None:
        """Keeps a line for whoever watches."""
        self._notes.append(line)

    def told(self) -> list[str]:
        """The lines since the last call."""
        lines, self._notes = self._notes, []
        return lines


class Compiled(Generic[Given, Result]):
    """A function, compiled by `torch.compile` into one graph if ``fast.compile``; if that fails, called as it is."""

    def __init__(self, function: Callable[Given, Result], fast: Fast, possible: bool = True):
        self._plain, self._fast, self._possible = function, fast, possible
        self._compiled: Callable[Given, Result] | None = None

    def __call__(self, *inputs: Given.args, **named: Given.kwargs) -> Result:
        """What the function gives."""
        return self.then(lambda result: None, *inputs, **named)

    def then(self, go_on: Callable[[Result], None], *inputs: Given.args, **named: Given.kwargs) -> Result:
        """What the function gives; ``go_on``, a backward pass, is called with it first.

        A backward pass is compiled when it is called: if compiling fails there, both run again, uncompiled.
        """
        if self._fast.compile and self._possible:
            try:
                if self._compiled is None:  # alpha is a tensor, resolutions are few: no shape is worth a symbol
                    self._compiled = torch.compile(self._plain, fullgraph=True, dynamic=False)
                result = self._compiled(*inputs, **named)
                go_on(result)
                return result
            except Exception as error:  # of a compiler anything can come; what is ours comes again below
                self._fast.compile = False
                self._fast.note(f"not compiled, going on without (compile=off: without this line): {_reason(error)}")
        result = self._plain(*inputs, **named)
        go_on(result)
        return result


class Recorder(Protocol):
    """What `Graphs` needs of a device."""

    def aside(self, step: Callable[[], None]) -> None:
        """Runs ``step`` as it will run while it is recorded."""

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Records what ``step`` does without doing it; the result does it.

        Raises:
            Exception: it cannot be recorded, and nothing has been done.
        """


class CudaRecorder:
    """CUDA graphs, recorded on a stream of their own into one pool of memory.

    Args:
        device: the GPU.
        random: the generator that steps draw from: a replay draws what a plain call would.
    """

    def __init__(self, device: torch.device, random: torch.Generator):
        self._random, self._device = random, device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def aside(self, step: Callable[[], None]) -> None:
        """Runs ``step`` on the stream, between what is queued before it and after it."""
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            step()
        here.wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """A graph of ``step``."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._random)
        generators = [self._random, torch.cuda.default_generators[torch.cuda.current_device()]]
        states, here = [generator.get_state() for generator in generators], torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                step()
        except Exception:
            torch.cuda.set_stream(here)  # before torch 2.15 a failed recording's own stays the current one
            self._close_pool()
            for generator, state in zip(generators, states, strict=True):
                # a broken recording leaves generators that refuse to draw: each gets a new inside
                fresh = torch.Generator(generator.device)
                fresh.set_state(state)
                generator.graphsafe_set_state(fresh.graphsafe_get_state())
            raise
        return graph.replay

    def _close_pool(self) -> None:
        """Ends a failed recording's hold on its pool, which torch 2.11 leaves open, and counts as used for ever."""
        device = torch.cuda.current_device()
        try:
            torch._C._cuda_endAllocateToPool(device, self._pool)
        except RuntimeError:  # later ones have closed it, and let go of it when the graph goes
            return
        torch._C._cuda_releasePool(device, self._pool)


class Graphs:
    """Steps, each recorded after a few plain calls and replayed from then on: one launch for hundreds of kernels.

    Its first calls are training steps like any other and recording does nothing, so a run is the same with
    graphs as without. What a step reads must be tensors at the same place each time: its inputs are copied there,
    weights, moments, learning rates and alpha lie there. What else it depends on is ``key``, or calls for `forget`.

    Args:
        fast: whether to record at all, and where to say that it cannot be done.
        optimizers: those that steps move weights with.
        recorder: of the device; None where nothing is recorded.
    """

    def __init__(self, fast: Fast, optimizers: list[torch.optim.Optimizer], recorder: Recorder | None):
        self._fast, self._optimizers, self._recorder = fast, optimizers, recorder
        self.forget()

    def forget(self) -> None:
        """Drops what is recorded: networks or moments are no longer those of the recording."""
        self._called: dict[Hashable, int] = {}
        self._replays: dict[Hashable, tuple[list[Tensor | None], Callable[[], None]]] = {}

    def __call__(self, key: Hashable, step: Step, *inputs: Tensor | None) -> None:
        """Calls ``step``, or does what it would do; its result is not given."""
        if self._recorder is None or not self._fast.graphs:
            step(*inputs)
        elif self._called.get(key, 0) < WARMUP:
            self._called[key] = self._called.get(key, 0) + 1
            self._recorder.aside(lambda: step(*inputs))
        elif key in self._replays or self._recorded(self._recorder, key, step, inputs):
            places, replay = self._replays[key]
            for place, value in zip(places, inputs, strict=True):
                if place is not None and value is not None:
                    place.copy_(value)
            replay()
        else:
            step(*inputs)

    def _recorded(self, recorder: Recorder, key: Hashable, step: Step, inputs: tuple[Tensor | None, ...]) -> bool:
        places = [None if value is None else value.clone() for value in inputs]
        self._capturable(True)
        try:
            self._replays[key] = places, recorder.record(lambda: step(*places))
        except Exception as error:
            self._fast.graphs = False
            self._fast.note(f"no CUDA graphs, going on without (cuda_graphs=off: without this line): {_reason(error)}")
            self.forget()
            for optimizer in self._optimizers:
                optimizer.zero_grad(set_to_none=True)  # half-made gradients of the recording
            return False
        finally:
            self._capturable(False)
        return True

    def _capturable(self, on: bool) -> None:
        # fused Adam computes the same either way, but asks for the word, and warns if it is there otherwise
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["capturable"] = on


def lay_out_moments(optimizer: torch.optim.Optimizer) -> None:
    """Gives moments from a checkpoint the layout of their weights: fused Adam refuses any other."""
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                held[name] = torch.empty_like(parameter).copy_(value).detach()


def _reason(error: Exception) -> str:
    text: Any = " ".join(str(error).split()) or type(error).__name__
    return str(text[:200])
