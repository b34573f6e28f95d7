"""The columns of every catalogue, with units and meanings; names as in Rubin's DP1 schemas."""

from __future__ import annotations

from lsstpipe.image.catalog import Column, Schema

APERTURE_RADII = (3.0, 4.5, 6.0, 9.0, 12.0)
"""Radii of the circular apertures, in pixels."""


def _aperture_name(radius: float) -> str:
    """Spell the start of a column's name: 3.0 -> ``ap03``, 4.5 -> ``ap04p5``."""
    whole, tenth = divmod(round(radius * 10), 10)
    return f"ap{whole:02d}" + (f"p{tenth}" if tenth else "")


APERTURE_NAMES = tuple(_aperture_name(radius) for radius in APERTURE_RADII)


def _flux(name: str, doc: str) -> tuple[Column, ...]:
    """Give the three columns of a flux: value, error, flag."""
    return (
        Column(f"{name}Flux", "f8", "nJy", doc),
        Column(f"{name}FluxErr", "f8", "nJy", f"Standard error of {name}Flux."),
        Column(f"{name}Flux_flag", "?", "", f"{name}Flux could not be measured."),
    )


_APERTURES = tuple(
    column
    for name, radius in zip(APERTURE_NAMES, APERTURE_RADII, strict=True)
    for column in _flux(name, f"Flux within {radius:g} pixels.")
)
_SHAPE = tuple(
    Column(f"{moment}{kind}", "f8", "pixel**2", f"Adaptive second moment {moment[1:]} of the {of}.")
    for kind, of in (("", "source"), ("PSF", "PSF at the source"))
    for moment in ("ixx", "iyy", "ixy")
)
_PIXEL_FLAGS = tuple(
    Column(f"pixelFlags_{name}", "?", "", doc)
    for name, doc in (
        ("bad", "A pixel of the source is a defect."),
        ("cr", "A pixel of the source was hit by a cosmic ray."),
        ("edge", "The source is at the edge of the image."),
        ("interpolated", "A pixel of the source was interpolated."),
        ("interpolatedCenter", "A pixel within 1.5 pixels of the centre was interpolated."),
        ("nodata", "A pixel of the source has no data."),
        ("saturated", "A pixel of the source is saturated."),
        ("saturatedCenter", "A pixel within 1.5 pixels of the centre is saturated."),
        ("suspect", "A pixel of the source is near saturation."),
    )
)
PIXEL_FLAG_NAMES = tuple(column.name for column in _PIXEL_FLAGS)

SOURCE = Schema(
    "source",
    (
        Column("sourceId", "i8", "", "Unique id of the source."),
        Column("visit", "i8", "", "Visit that it was seen on."),
        Column("detector", "i4", "", "Detector that it was seen on."),
        Column("band", "U16", "", "Band of the visit."),
        Column("parentSourceId", "i8", "", "Blend that it was split from; 0 for none."),
        Column("ra", "f8", "deg", "Right ascension (ICRS) by the WCS of this visit alone."),
        Column("dec", "f8", "deg", "Declination (ICRS) by the WCS of this visit alone."),
        Column("raErr", "f8", "deg", "Standard error of ra times cos(dec)."),
        Column("decErr", "f8", "deg", "Standard error of dec."),
        Column("x", "f8", "pixel", "Centroid, absolute column."),
        Column("y", "f8", "pixel", "Centroid, absolute row."),
        Column("xErr", "f8", "pixel", "Standard error of x."),
        Column("yErr", "f8", "pixel", "Standard error of y."),
        Column("centroid_flag", "?", "", "The centroid did not converge; x and y are the peak."),
        *_flux("psf", "Flux of the PSF fitted at the centroid, freed of the bias of a fit."),
        Column("psfFlux_apCorr", "f8", "", "Factor that was applied to psfFlux."),
        *_APERTURES,
        Column("sky", "f8", "nJy/pixel", "Background taken off at the source."),
        Column("snr", "f8", "", "Significance of the peak in the matched filter."),
        *_SHAPE,
        Column(
            "extendedness", "f8", "", "0 for a point source, 1 for an extended one, NaN unknown."
        ),
        *_PIXEL_FLAGS,
        Column("detect_isPrimary", "?", "", "Not a blend that was split; inside the detector."),
        Column("deblend_nChild", "i4", "", "Number of sources that this one was split into."),
        Column("calib_psf_candidate", "?", "", "Star offered to the PSF fit."),
        Column("calib_psf_used", "?", "", "Star that the PSF was fitted to."),
        Column("calib_psf_reserved", "?", "", "Star kept out of the PSF fit to test it."),
        Column("calib_astrometry_used", "?", "", "Star that the WCS was fitted to."),
        Column("calib_photometry_used", "?", "", "Star that the zero point was fitted to."),
    ),
)

OBJECT = Schema(
    "object",
    (
        Column("objectId", "i8", "", "Unique id of the object."),
        Column("tract", "i4", "", "Tract."),
        Column("patch", "i4", "", "Patch."),
        Column("band", "U16", "", "Band that it was measured in."),
        Column("parentObjectId", "i8", "", "Blend that it was split from; 0 for none."),
        Column("coord_ra", "f8", "deg", "Right ascension (ICRS)."),
        Column("coord_dec", "f8", "deg", "Declination (ICRS)."),
        Column("coord_raErr", "f8", "deg", "Standard error of coord_ra times cos(dec)."),
        Column("coord_decErr", "f8", "deg", "Standard error of coord_dec."),
        Column("x", "f8", "pixel", "Centroid, column in the tract."),
        Column("y", "f8", "pixel", "Centroid, row in the tract."),
        Column("xErr", "f8", "pixel", "Standard error of x."),
        Column("yErr", "f8", "pixel", "Standard error of y."),
        Column("centroid_flag", "?", "", "The centroid did not converge; x and y are the peak."),
        *_flux("psf", "Flux of the coadd's PSF fitted at the centroid."),
        *_APERTURES,
        Column("snr", "f8", "", "Significance of the peak in the matched filter."),
        *_SHAPE,
        Column(
            "extendedness", "f8", "", "0 for a point source, 1 for an extended one, NaN unknown."
        ),
        *_PIXEL_FLAGS,
        Column("inputCount", "i4", "", "Visits that the coadd at the centre is made of."),
        Column("deblend_nChild", "i4", "", "Number of objects that this one was split into."),
        Column("detect_isPatchInner", "?", "", "Inside the inner box of the patch."),
        Column(
            "detect_isPrimary", "?", "", "Inside the inner box of the patch and not a split blend."
        ),
    ),
)

FORCED_SOURCE = Schema(
    "forced_source",
    (
        Column("objectId", "i8", "", "Object that was measured; unique with visit and detector."),
        Column("visit", "i8", "", "Visit that it was measured on."),
        Column("detector", "i4", "", "Detector that it was measured on."),
        Column("band", "U16", "", "Band of the visit."),
        Column("midpointMjdTai", "f8", "d", "Middle of the exposure, TAI MJD."),
        Column("coord_ra", "f8", "deg", "Right ascension of the object (ICRS)."),
        Column("coord_dec", "f8", "deg", "Declination of the object (ICRS)."),
        Column("x", "f8", "pixel", "Column at which it was measured."),
        Column("y", "f8", "pixel", "Row at which it was measured."),
        *_flux("psf", "PSF flux at the object's position, calibrated by the joint fit."),
        *_flux(
            "ap05",
            "Flux within 5 pixels without the PSFs of all other objects and the median of what is "
            "left around, calibrated by the joint fit.",
        ),
        *_PIXEL_FLAGS,
        Column("invalidPsfFlag", "?", "", "There is no PSF at this position."),
        Column("detect_isPrimary", "?", "", "The object is primary."),
    ),
)

ISOLATED_STAR = Schema(
    "isolated_star",
    (
        Column("isolatedStarId", "i8", "", "Number of the star within the tract."),
        Column("sourceId", "i8", "", "Source that is this star on one visit."),
        Column("visit", "i8", "", "Visit of the source."),
        Column("detector", "i4", "", "Detector of the source."),
        Column("ra", "f8", "deg", "Right ascension of the source (ICRS)."),
        Column("dec", "f8", "deg", "Declination of the source (ICRS)."),
        Column("x", "f8", "pixel", "Column of the source."),
        Column("y", "f8", "pixel", "Row of the source."),
        Column("xErr", "f8", "pixel", "Standard error of x."),
        Column("yErr", "f8", "pixel", "Standard error of y."),
        Column("psfFlux", "f8", "nJy", "PSF flux of the source by its visit alone."),
        Column("psfFluxErr", "f8", "nJy", "Standard error of psfFlux."),
        Column("ap06Flux", "f8", "nJy", "Flux within 6 pixels by its visit alone."),
        Column("ap06FluxErr", "f8", "nJy", "Standard error of ap06Flux."),
    ),
)

VISIT = Schema(
    "visit",
    (
        Column("visit", "i8", "", "Visit."),
        Column("detector", "i4", "", "Detector."),
        Column("physical_filter", "U32", "", "Filter."),
        Column("band", "U16", "", "Band."),
        Column("obsStartMjd", "f8", "d", "Start of the exposure, TAI MJD."),
        Column("expMidptMjd", "f8", "d", "Middle of the exposure, TAI MJD."),
        Column("expTime", "f8", "s", "Exposure time."),
        Column("ra", "f8", "deg", "Centre of the detector (ICRS)."),
        Column("dec", "f8", "deg", "Centre of the detector (ICRS)."),
        Column("pixelScale", "f8", "arcsec/pixel", "Scale at the centre."),
        Column("zeroPoint", "f8", "mag", "AB magnitude of 1 electron in the whole exposure."),
        Column("zeroPointErr", "f8", "mag", "Standard error of zeroPoint within the joint fit."),
        Column("seeing", "f8", "arcsec", "Full width at half maximum of the PSF."),
        Column("psfSigma", "f8", "pixel", "Second-moment width of the PSF."),
        Column("skyBg", "f8", "nJy/pixel", "Median background."),
        Column("skyNoise", "f8", "nJy/pixel", "Standard deviation of the sky in a pixel."),
        Column("magLim", "f8", "mag", "AB magnitude of a point source at five sigma."),
        Column("nSource", "i4", "", "Sources detected."),
        Column("nPsfStar", "i4", "", "Stars that the PSF was fitted to."),
        Column("nAstrometryStar", "i4", "", "Reference stars matched."),
        Column(
            "astromRmsX",
            "f8",
            "pixel",
            "Rms residual of the reference stars in x, this visit alone.",
        ),
        Column(
            "astromRmsY",
            "f8",
            "pixel",
            "Rms residual of the reference stars in y, this visit alone.",
        ),
    ),
)

REFERENCE = Schema(
    "reference_catalog",
    (
        Column("id", "i8", "", "Number of the star."),
        Column("ra", "f8", "deg", "Right ascension (ICRS)."),
        Column("dec", "f8", "deg", "Declination (ICRS)."),
        Column("raErr", "f8", "deg", "Standard error of ra times cos(dec)."),
        Column("decErr", "f8", "deg", "Standard error of dec."),
        Column("flux", "f8", "nJy", "Flux in the band of the catalogue."),
        Column("fluxErr", "f8", "nJy", "Standard error of flux."),
    ),
)
