"""Chat messages to the text that a model reads, by the template that the model carries."""

from functools import cache

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sapphire.completions import THINK_OPEN
from sapphire.engines import EngineError


def render(template: str, messages: list[dict[str, str]], bos: str, eos: str) -> tuple[str, str]:
    """The prompt, and what it already holds of the completion: `<think>` when the template ends with it, else "".

    `bos` and `eos` are the texts of the model's first and last token. EngineError when the template refuses.
    """
    try:
        text = _compiled(template).render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos)
    except TemplateError as error:
        raise EngineError(
            f"The model's chat template refuses a system and a user message ({error}); choose an instruction-tuned model."
        ) from error
    return text, begun(text)


def begun(prompt: str) -> str:
    """What of the completion a prompt already holds."""
    return THINK_OPEN if prompt.rstrip().endswith(THINK_OPEN) else ""


@cache
def _compiled(template: str) -> Template:
    def refuse(reason: str) -> None:
        raise TemplateError(reason)

    # Templates are code of others; the settings are those that transformers renders them with.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template)
