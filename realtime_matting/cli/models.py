"""``rtmatte models``: what comes with the package."""


def models() -> None:
    """List the built-in models, with their figures."""
    from realtime_matting.cli.report import format_table
    from realtime_matting.models.registry import find_bundle, list_bundles

    rows = []
    for name in list_bundles():
        bundle = find_bundle(name)
        size = sum(bundle.path(role).stat().st_size for role in bundle.roles) / 2**20
        manifest = bundle.manifest
        measured = [
            f"{', '.join(f'{key} {value:g}' for key, value in metric.values.items())} ({metric.data})"
            for metric in manifest.metrics
        ] or ["not measured"]
        rows.append((name, manifest.version, f"{size:.1f} MiB", manifest.licence, measured[0]))
        rows += [("", "", "", "", line) for line in measured[1:]]
    print(format_table(("name", "version", "size", "licence", "metrics"), rows, right_aligned={2}))
