"""The four seasonal maps as a picture."""

from pathlib import Path

import xarray as xr

from bondstone.integrations import icechunk


def plot(path: Path) -> None:
    """Draw sea-surface temperature by season (K) from the newest version of the repository."""
    from matplotlib.figure import Figure  # not pyplot: it needs no display, and keeps no global figure

    store = icechunk.connect("ocean").readonly_session("main").store
    with xr.open_zarr(store, group="sst/seasonal", consolidated=False) as seasons:
        values = seasons.surface_temperature.load()
    coldest, warmest = (float(bound) for bound in values.quantile([0.01, 0.99]))
    figure = Figure(figsize=(12, 6), layout="constrained")
    figure.suptitle("Sea-surface temperature, tropical strip, mean of 2006 to 2010")
    maps = []
    for axes, season in zip(figure.subplots(4, sharex=True), ("DJF", "MAM", "JJA", "SON"), strict=True):
        one = values.sel(season=season)
        maps.append(axes.pcolormesh(one.longitude, one.latitude, one, vmin=coldest, vmax=warmest, cmap="viridis"))
        axes.set_title(season, loc="left", fontsize="small")
        axes.set_ylabel("latitude (°)")
    figure.axes[-1].set_xlabel("longitude (°)")
    figure.colorbar(maps[0], ax=figure.axes, label="K", extend="both")
    figure.savefig(path, dpi=120)
