"""Parts of an OpenVINO graph put in the place of others that give the same."""

from collections.abc import Callable

import openvino as ov  # type: ignore[import-untyped]


def rewrite_each(
    model: ov.Model, is_one: Callable[[ov.Node], bool], rewritten: Callable[[ov.Node], tuple[ov.Node, ov.Node]]
) -> int:
    """Change, in place, every node that is one.

    Args:
        is_one: whether a node is to be rewritten.
        rewritten: for such a node, the last of those that fall away with it, and the node that gives what that gave.

    Returns:
        How many there were.
    """
    found = [node for node in model.get_ordered_ops() if is_one(node)]
    for node in found:
        last, made = rewritten(node)
        names = last.output(0).get_names()
        for target in list(last.output(0).get_target_inputs()):
            target.replace_source_output(made.output(0))
        made.output(0).set_names(names)
    if found:
        model.validate_nodes_and_infer_types()
    return len(found)
