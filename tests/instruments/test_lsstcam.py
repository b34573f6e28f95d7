"""Geometry and headers of Rubin's cameras against their own files, whose pixels are zero."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier
from lsstpipe.instruments import get_camera, read_info, read_raw
from lsstpipe.instruments.lsst_detector import E2V, ITL, RAW_NX, RAW_NY, SEGMENTS, make_detector
from lsstpipe.instruments.raw import _unzip

LSSTCAM = "30211212000310-R22-S22-det098.fits.gz"
LATISS = "3018092000065-det000.fits.gz"
LSSTCAMSIM = "7024032100720-R22-S11-det094.fits.fz"
GUIDERS = ("MC_C_20230616_000013_R04_SG0.fits", "MC_C_20240918_000013_R00_SG0_guider.fits")
FILES = {"lsstcam": (LSSTCAM, 98), "latiss": (LATISS, 0), "lsstcamsim": (LSSTCAMSIM, 94)}


@pytest.fixture
def folder(test_data: Path) -> Path:
    return test_data / "lsst_raw_headers"


def segment_headers(path: Path) -> dict[str, fits.Header]:
    """Headers of the segments by their two digits."""
    with fits.open(_as_file(path)) as hdus:
        found = {h.name[-2:]: h.header for h in hdus if h.name.upper().startswith("SEGMENT")}
    assert sorted(found) == sorted(SEGMENTS)
    return found


def _as_file(path: Path) -> io.BytesIO:
    return io.BytesIO(_unzip(path.read_bytes()))


def section(card: str) -> list[int]:
    """The four numbers of ``[x0:x1,y0:y1]``."""
    return [int(number) for number in re.findall(r"\d+", card)]


def amplifiers(camera: str) -> dict[str, Amplifier]:
    _, number = FILES[camera]
    return {a.name[1:]: a for a in get_camera(camera).detector(number).amplifiers}


def first_pixel(amplifier: Amplifier) -> tuple[int, int]:
    """Row and column on the detector, from 1, of the pixel that is read first."""
    box = amplifier.box
    y = box.y0 + box.ny if amplifier.flip_y else box.y0 + 1
    x = box.x0 + box.nx if amplifier.flip_x else box.x0 + 1
    return y, x


@pytest.mark.parametrize("camera", FILES)
def test_the_data_section_of_every_segment_is_that_of_its_amplifier(
    folder: Path, camera: str
) -> None:
    headers, own = segment_headers(folder / FILES[camera][0]), amplifiers(camera)
    assert sorted(headers) == sorted(own)
    for name, header in headers.items():
        data, row, column = own[name].data, int(name[0]), int(name[1])
        x0, x1, y0, y1 = section(header["DATASEC"])
        expected = Box(row * RAW_NY + y0 - 1, column * RAW_NX + x0 - 1, y1 - y0 + 1, x1 - x0 + 1)
        assert data == expected
        assert own[name].serial_overscan is not None
        assert own[name].serial_overscan.x0 + own[name].serial_overscan.nx == (column + 1) * RAW_NX
        assert own[name].parallel_overscan is not None
        assert own[name].parallel_overscan.y0 == row * RAW_NY + y1


@pytest.mark.parametrize(("camera", "left_out"), [("lsstcam", 0), ("latiss", 6)])
def test_segments_lie_on_the_detector_as_the_camera_says(
    folder: Path, camera: str, left_out: int
) -> None:
    """By the WCS "CCD", in which x and y are exchanged against the coordinates of the data.

    That of LATISS has the 3 columns of prescan with the wrong sign; its DETSEC has not.
    """
    for name, header in segment_headers(folder / FILES[camera][0]).items():
        amplifier = amplifiers(camera)[name]
        x, _, y, _ = section(header["DATASEC"])
        along = {
            axis: header[f"CRVAL{k}C"] + header[f"PC{k}_1C"] * x + header[f"PC{k}_2C"] * y
            for k, axis in ((1, "y"), (2, "x"))
        }
        assert (along["y"], along["x"] + left_out) == first_pixel(amplifier)
        assert header["PC1_2C"] == (-1 if amplifier.flip_y else 1)
        assert header["PC2_1C"] == (-1 if amplifier.flip_x else 1)


@pytest.mark.parametrize(
    ("camera", "counts_down"), [("lsstcam", True), ("latiss", True), ("lsstcamsim", False)]
)
def test_detector_sections_are_ours_with_the_rows_counted_as_each_file_does(
    folder: Path, camera: str, counts_down: bool
) -> None:
    ny = get_camera(camera).detector(FILES[camera][1]).ny
    for name, header in segment_headers(folder / FILES[camera][0]).items():
        amplifier = amplifiers(camera)[name]
        x0, x1, y0, y1 = section(header["DETSEC"])
        first = (ny + 1 - y0, x0) if counts_down else (y0, x0)
        assert first == first_pixel(amplifier)
        assert (abs(y1 - y0) + 1, abs(x1 - x0) + 1) == amplifier.box.shape


def test_the_segments_of_a_simulated_sky_agree_about_it(folder: Path) -> None:
    """Turned as the amplifiers are, the CD matrices of all segments are one, of the header's angle.

    Of the lower segments only the matrix is right in this file, not the reference pixel.
    """
    info = read_info(folder / LSSTCAMSIM, get_camera("lsstcamsim"))
    matrices, references = [], []
    for name, header in segment_headers(folder / LSSTCAMSIM).items():
        amplifier = amplifiers("lsstcamsim")[name]
        turn_y, turn_x = (-1 if f else 1 for f in (amplifier.flip_y, amplifier.flip_x))
        matrices.append(
            [[header[f"CD{k}_1"] * turn_x, header[f"CD{k}_2"] * turn_y] for k in (1, 2)]
        )
        y, x = first_pixel(amplifier)
        x0, _, y0, _ = section(header["DATASEC"])
        if name.startswith("1"):
            references.append(
                (y + turn_y * (header["CRPIX2"] - y0), x + turn_x * (header["CRPIX1"] - x0))
            )
    np.testing.assert_allclose(matrices, [matrices[0]] * 16, rtol=1e-9)
    (_, east), (_, north) = matrices[0]
    assert np.rad2deg(np.arctan2(east, north)) == pytest.approx(info.rotation_deg, abs=0.2)
    assert np.linalg.det(matrices[0]) < 0
    # The middle of the detector, but for the 10 columns of prescan that the file leaves out.
    np.testing.assert_allclose(references, [(2002.5, 2048.5 + 10)] * 8, atol=0.01)


def test_a_detector_lies_in_the_focal_plane_where_its_header_says(folder: Path) -> None:
    """By the WCS "FOCAL_PLANE", whose origin is a corner of five rafts of 12700 pixels."""
    detector = get_camera("lsstcam").detector(98)
    header = segment_headers(folder / LSSTCAM)["10"]
    shift = [header[f"CRVAL{k}F"] - header[f"CRVAL{k}C"] - 5 * 12700 / 2 for k in (1, 2)]
    assert shift[0] + (detector.ny + 1) / 2 == pytest.approx(detector.focal_y_pix, abs=1)
    assert shift[1] + (detector.nx + 1) / 2 == pytest.approx(detector.focal_x_pix, abs=1)


def test_detectors_are_numbered_by_name_and_do_not_overlap() -> None:
    detectors = get_camera("lsstcam").detectors
    names = [detector.name for detector in detectors.values()]
    assert len(names) == 189
    assert names == sorted(names)
    numbers = {"R01_S00": 0, "R22_S11": 94, "R22_S22": 98, "R43_S22": 188}
    assert {name: names.index(name) for name in numbers} == numbers
    centres = np.array([(d.focal_y_pix, d.focal_x_pix) for d in detectors.values()])
    apart = np.abs(centres[:, None] - centres).max(axis=2) + np.eye(189) * 1e9
    assert apart.min() > max(E2V.nx * 8, E2V.ny * 2)
    assert sum(d.nx == ITL.nx * 8 for d in detectors.values()) == 72
    np.testing.assert_allclose(centres.mean(axis=0), 0, atol=1e-9)


def test_pixels_are_read_in_the_order_of_the_segments(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    pixels = {s: rng.integers(0, 200000, (RAW_NY, RAW_NX)).astype(np.int32) for s in SEGMENTS}
    cards = {"INSTRUME": "LSSTCam", "RAFTBAY": "R22", "CCDSLOT": "S11", "LSST_NUM": "E2V-CCD250-1",
             "DAYOBS": "20250101", "SEQNUM": 7, "CONTRLLR": "O", "EXPTIME": 30.0, "IMGTYPE": "FLAT",
             "DATE-OBS": "2025-01-02T03:00:00"}  # fmt: skip
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards))])
    for segment in reversed(SEGMENTS):
        hdus.append(fits.ImageHDU(pixels[segment], name=f"Segment{segment}"))
        hdus[-1].header["DATASEC"] = E2V.data_section
    path = tmp_path / "raw.fits"
    hdus.writeto(path)
    raw = read_raw(path, get_camera("lsstcam"))
    assert raw.info is not None
    assert (raw.info.exposure, raw.info.detector) == (2025010100007, 94)
    detector = make_detector(94, "R22_S11", E2V)
    for amplifier in detector.amplifiers:
        expected = pixels[amplifier.name[1:]][: E2V.ny, 10 : 10 + E2V.nx]
        np.testing.assert_array_equal(
            raw.image[amplifier.data.slices_in(detector.raw_box)], expected
        )
    hdus[3].header["DATASEC"] = ITL.data_section
    hdus.writeto(path, overwrite=True)
    with pytest.raises(InputFileError, match=r"DATASEC '\[4:512,1:2000\]'; segments of E2V have"):
        read_info(path, get_camera("lsstcam"))
    hdus[0].header["CCDSLOT"], hdus[0].header["RAFTBAY"] = "SG0", "R00"
    hdus[3].header["DATASEC"] = E2V.data_section
    hdus.writeto(path, overwrite=True)
    with pytest.raises(InputFileError, match="R00_SG0 is none of the 189 science detectors"):
        read_info(path, get_camera("lsstcam"))


def test_a_flat_of_the_laboratory_is_read_in_our_terms_through_two_gzips(folder: Path) -> None:
    info = read_info(folder / LSSTCAM, get_camera("lsstcam"))
    assert (info.exposure, info.detector, info.band) == (3021121200310, 98, "i")
    assert (info.observation_type, info.exposure_time_s) == ("flat", 7.83172)
    assert np.isnan(info.ra_deg)


def test_a_frame_of_an_early_header_has_no_kind_and_is_read_all_the_same(folder: Path) -> None:
    info = read_info(folder / LATISS, get_camera("latiss"))
    assert (info.exposure, info.detector, info.exposure_time_s) == (3018092000065, 0, 27)
    assert info.observation_type == "unknown"


def test_a_simulated_exposure_is_read_with_its_pointing(folder: Path) -> None:
    info = read_info(folder / LSSTCAMSIM, get_camera("lsstcamsim"))
    assert (info.exposure, info.detector, info.band) == (7024032100720, 94, "r")
    assert info.observation_type == "science"
    # Its times are TAI: the middle is 15 s after 17:54:19.147.
    assert info.mid_mjd == pytest.approx(60390.74605494318 + 15 / 86400, abs=1e-8)
    assert (info.ra_deg, info.dec_deg) == (pytest.approx(250.0766182), pytest.approx(1.9776604))
    assert info.rotation_deg == pytest.approx(81.1232673)


@pytest.mark.parametrize("name", GUIDERS)
def test_the_stamps_of_a_guider_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(InputFileError, match="it has no image of segment 00"):
        read_info(folder / name, get_camera("lsstcam"))


def test_the_file_of_one_camera_is_refused_by_another(folder: Path) -> None:
    with pytest.raises(InputFileError, match="is of the camera 'LSSTCamSim', not of lsstcam"):
        read_info(folder / LSSTCAMSIM, get_camera("lsstcam"))
