"""Capturing what flows into each layer and the gradient that flows back, without touching the model's own gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_COMPILED = "_compiled_call_impl"  # where torch keeps what Module.compile() makes
Sink = Callable[[str, Tensor, Tensor], None]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, and no code of ``model.compile()``, which hooks would have compiled anew.

    Afterwards every module is as it was.
    """
    training = {module: module.training for module in model.modules()}
    compiled = {module: vars(module).pop(_COMPILED) for module in training if _COMPILED in vars(module)}
    model.eval()
    try:
        yield
    finally:
        for module, call in compiled.items():
            setattr(module, _COMPILED, call)
        for module, mode in training.items():
            module.training = mode


class Capture:
    """Hooks on one model for the duration of a ``with`` block.

    The word vectors are cut from their table and become the leaf that gradients are asked for: no parameter receives a
    gradient, and frozen parameters do not matter.

    Args:
        layers: name -> linear module.
        embeddings: the table of word vectors.
        sink: called with (name, inputs, gradients) of a layer as soon as its gradient is known.
        repeated: names of layers with calls that do not read what comes of the word vectors, which no gradient on its
            way to them would meet; the gradients of all of their calls are asked for, and are known in the end.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], embeddings: nn.Module, sink: Sink, repeated: Collection[str] = ()
    ) -> None:
        self._layers = layers
        self._embeddings = embeddings
        self._sink = sink
        self._repeated = repeated
        self._calls: list[tuple[str, Tensor, Tensor]] = []  # of repeated layers: name, inputs, output
        self._anchor: Tensor | None = None
        self._hooks = ExitStack()

    def __enter__(self) -> Capture:
        handle = self._embeddings.register_forward_hook(self._cut)
        self._hooks.callback(handle.remove)
        for name, module in self._layers.items():
            handle = module.register_forward_hook(self._catch(name))
            self._hooks.callback(handle.remove)
        return self

    def __exit__(self, *exception: object) -> None:
        self._anchor = None
        self._calls.clear()
        self._hooks.close()

    def backward(self, loss: Tensor) -> Tensor:
        """Sends the gradient of a scalar back, feeding the sink on the way; returns that of the word vectors."""
        assert self._anchor is not None, "a forward pass comes first"
        outputs = [output for _, _, output in self._calls]
        gradient, *others = torch.autograd.grad(loss, [self._anchor, *outputs], allow_unused=True)
        for (name, inputs, output), found in zip(self._calls, others, strict=True):
            self._sink(name, inputs, torch.zeros_like(output) if found is None else found)
        self._calls.clear()
        self._anchor = None
        assert gradient is not None, "every prediction depends on the words"
        return gradient

    def _cut(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        self._anchor = output.detach().requires_grad_()
        return self._anchor

    def _catch(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            given = inputs[0].detach()
            if name in self._repeated:
                # Of parameters that are frozen too
                self._calls.append((name, given, output if output.requires_grad else output.requires_grad_()))
                return
            output.register_hook(lambda gradient: self._sink(name, given, gradient))

        return hook
