"""The loss of the sample weights' training, on predictions whose loss is known."""

import pytest
import torch

from shapes.loss import assign, decode, detection_loss, paired_iou

SIDE, CLASSES = 64, 3
BOX = torch.tensor([[8.0, 16.0, 40.0, 48.0]])


def outputs(box=None, class_id=0, confident=8.0):
    """The nine outputs of a network that sees nothing, or *box* in every cell."""
    made = {}
    for level, stride in enumerate((8, 16, 32)):
        cells = SIDE // stride
        made[f"cls_{level}"] = torch.full((1, CLASSES, cells, cells), -confident)
        made[f"obj_{level}"] = torch.full((1, 1, cells, cells), -confident)
        made[f"reg_{level}"] = torch.zeros(1, 4, cells, cells)
        if box is not None:
            left, top, right, bottom = box[0].tolist()
            rows, columns = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
            made[f"reg_{level}"][0, 0] = (left + right) / 2 / stride - columns
            made[f"reg_{level}"][0, 1] = (top + bottom) / 2 / stride - rows
            made[f"reg_{level}"][0, 2] = torch.tensor((right - left) / stride).log()
            made[f"reg_{level}"][0, 3] = torch.tensor((bottom - top) / stride).log()
            made[f"cls_{level}"][0, class_id] = confident
    return made


def loss(made, boxes=BOX, classes=(0,), *, l1=True):
    return detection_loss(decode(made), [boxes], [torch.tensor(classes, dtype=torch.int64)], l1=l1)


def test_predictions_are_decoded_as_the_package_decodes_them():
    predictions = decode(outputs(BOX))
    assert predictions.boxes.shape == (1, 64 + 16 + 4, 4)
    torch.testing.assert_close(predictions.boxes, BOX.expand(1, 84, 4))
    assert predictions.strides.unique().tolist() == [8, 16, 32]
    assert predictions.corners[1].tolist() == [8, 0], "x first"


def test_overlap_of_boxes():
    half = torch.tensor([[8.0, 16.0, 40.0, 32.0]])
    assert paired_iou(BOX, half).item() == pytest.approx(0.5)
    assert paired_iou(BOX, BOX + 100).item() == 0


def test_right_boxes_cost_nothing_but_the_answers_to_whether_something_is_there():
    right = loss(outputs(BOX))
    assert right["iou"].item() == pytest.approx(0, abs=1e-4)
    assert right["l1"].item() == pytest.approx(0, abs=1e-4)
    assert right["class"].item() < 0.01
    assert loss(outputs(BOX, class_id=1))["class"].item() > 10
    moved = loss(outputs(BOX + torch.tensor([8.0, 0, 8.0, 0])))
    assert moved["iou"].item() == pytest.approx(5 * (1 - 0.6**2), rel=1e-3)


def test_cells_near_the_middle_answer():
    predictions = decode(outputs(BOX))
    cells, owner, overlap = assign(predictions, 0, BOX, torch.tensor([0]))
    middle = predictions.corners[cells] + predictions.strides[cells, None] / 2
    reach = 1.5 * predictions.strides[cells, None]
    assert 1 <= len(cells) <= 10
    assert ((middle - torch.tensor([24.0, 32.0])).abs() < reach).all()
    assert owner.tolist() == [0] * len(cells)
    torch.testing.assert_close(overlap, torch.ones(len(cells)))


def test_a_cell_that_two_boxes_want_answers_for_the_one_it_fits():
    boxes = torch.cat([BOX + torch.tensor([-2.0, -2.0, 2.0, 2.0]), BOX])
    cells, owner, overlap = assign(decode(outputs(BOX)), 0, boxes, torch.tensor([0, 0]))
    assert len(set(cells.tolist())) == len(cells) == 10
    assert owner.tolist() == [1] * 10
    torch.testing.assert_close(overlap, torch.ones(10))


def test_a_picture_without_boxes_only_asks_for_silence():
    made = outputs()
    quiet = detection_loss(decode(made), [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)], l1=True)
    assert quiet["iou"].item() == quiet["class"].item() == quiet["l1"].item() == 0
    assert quiet["objectness"].item() == pytest.approx(84 * 3.35e-4, rel=0.01)


def test_gradients_reach_every_output():
    made = {name: value.requires_grad_() for name, value in outputs(BOX + 3).items()}
    sum(loss(made).values()).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in made.values())
    assert sum(made[f"reg_{level}"].grad.abs().sum() for level in range(3)) > 0
