"""What a trained learner answers: predictions, mistakes, pictures."""

import numpy as np
import pytest
from test_learner_toy import CLASSES, ToyData, toy_learner

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.learner import Interpretation, Learner, accuracy
from minitorch7.learner.predict import activation_of


@pytest.fixture
def trained():
    learn = toy_learner()
    learn.fit_one_cycle(2, 0.05)
    return learn


def test_get_preds_gives_probabilities_in_order(trained):
    preds, targets = trained.get_preds()
    assert preds.shape == (25, 3) and preds.backend == "numpy"
    np.testing.assert_allclose(preds.numpy().sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(targets.numpy(), trained.data.valid_dl.y)
    assert float(accuracy(preds, targets)) == pytest.approx(trained.validate()[1])


def test_losses_of_items_average_to_the_loss(trained):
    _, _, losses = trained.get_preds("valid", with_loss=True)
    assert losses.shape == (25,)
    assert losses.numpy().mean() == pytest.approx(trained.validate()[0], rel=1e-5)


def test_loaders_by_name(trained):
    preds, targets = trained.get_preds("train")
    np.testing.assert_array_equal(targets.numpy(), trained.data.fix_dl.y)
    assert len(trained.get_preds(trained.data.train_dl)[0]) == 60
    with pytest.raises(ValueError, match="the data has no 'test' part"):
        trained.get_preds("test")
    with pytest.raises(ValueError, match="'tset' is none of 'train', 'valid', 'test'"):
        trained.get_preds("tset")


def test_a_test_set_has_no_targets(trained):
    class Unlabelled:
        def __len__(self):
            return 1

        def batches(self, epoch, start=0):
            yield mt.tensor(trained.data.valid_dl.x), None

    preds, targets = trained.get_preds(Unlabelled())
    assert preds.shape == (25, 3) and targets is None


def test_predictions_change_nothing(trained):
    trained.model.train()
    rng = mt.backend.get_rng_state()
    statistics = trained.model[1].running_mean.cpu().numpy().copy()
    trained.get_preds()
    trained.predict(np.zeros((1, 4, 4)))
    assert trained.model.training and mt.backend.get_rng_state() == rng
    np.testing.assert_array_equal(trained.model[1].running_mean.cpu().numpy(), statistics)


def test_predict_one_item(trained):
    x, y = trained.data.valid_dl.x[3], int(trained.data.valid_dl.y[3])
    name, index, probabilities = trained.predict(x * 0.25 + 0.5)
    assert (name, index) == (CLASSES[y], y) and probabilities.shape == (3,)
    again = trained.predict(mt.tensor(x))  # a Tensor is taken as it is
    np.testing.assert_allclose(again[2], probabilities, rtol=1e-4)
    trained.data.classes, classes = None, trained.data.classes
    with pytest.raises(ValueError, match="predict: the data has no classes"):
        trained.predict(x)
    trained.data.classes = classes


def test_activations_follow_the_loss():
    scores = mt.tensor([[1.0, 3.0]])
    expected = {
        F.cross_entropy: [0.119203, 0.880797],
        nn.CrossEntropyLoss(): [0.119203, 0.880797],
        nn.BCEWithLogitsLoss(): [0.731059, 0.952574],
        F.binary_cross_entropy_with_logits: [0.731059, 0.952574],
        F.mse_loss: [1, 3],
    }
    for loss, values in expected.items():
        np.testing.assert_allclose(activation_of(loss)(scores).numpy()[0], values, rtol=1e-5)


# ----------------------------------------------------------------------------------- mistakes


FOUND = Interpretation(
    np.eye(3)[[0, 0, 1, 1, 1, 2, 0]],
    np.array([0, 1, 1, 2, 2, 2, 1]),
    np.array([0.1, 3.0, 0.2, 2.0, 2.5, 0.0, 9.0]),
    CLASSES,
)


def test_confusion_matrix_counts_actual_by_predicted():
    assert FOUND.confusion_matrix().tolist() == [[1, 0, 0], [2, 1, 0], [0, 2, 1]]


def test_most_confused_is_sorted_and_cut():
    assert FOUND.most_confused() == [("bee", "ant", 2), ("cat", "bee", 2)]
    assert FOUND.most_confused(3) == []


def test_top_losses():
    losses, items = FOUND.top_losses(3)
    assert losses.tolist() == [9.0, 3.0, 2.5] and items.tolist() == [6, 1, 4]
    assert len(FOUND.top_losses()[0]) == 7


def test_mistakes_of_a_learner(trained):
    matrix = trained.confusion_matrix()
    assert matrix.sum() == 25
    assert matrix.trace() / 25 == pytest.approx(trained.validate()[1])
    assert trained.top_losses(2)[0][0] >= trained.top_losses(2)[0][1]
    assert all(n >= 1 for *_, n in trained.most_confused())


def image_learner(out_channels):
    class Images(ToyData):
        loss_func = staticmethod(F.mse_loss if out_channels == 1 else F.cross_entropy)

        def __init__(self):
            super().__init__()
            for loader in (self.train_dl, self.valid_dl):
                masks = (loader.x[:, 0] > 0).astype(np.int64)
                loader.y = loader.x if out_channels == 1 else masks

        def denorm_y(self, y):
            return self.denorm(y)

    return Learner(Images(), nn.Conv2d(1, out_channels, 1), progress=False)


def test_interpretation_wants_a_classifier():
    with pytest.raises(ValueError, match=r"predictions of shape \(25, 1, 4, 4\)"):
        image_learner(1).confusion_matrix()


# ------------------------------------------------------------------------------------- pictures


def titles_of(figure):
    return [ax.get_title() for ax in figure.axes]


def test_show_results_of_a_classifier(trained):
    figure = trained.show_results(rows=2)
    y = trained.data.valid_dl.y[:4]
    assert [title.split(" / ")[0] for title in titles_of(figure)] == [CLASSES[i] for i in y]


def test_show_results_of_images_and_masks():
    figure = image_learner(1).show_results(rows=2)
    assert titles_of(figure) == ["Input", "Prediction", "Target", "", "", ""]
    figure = image_learner(3).show_results(rows=2)
    assert titles_of(figure) == ["Image", "Target", "Prediction", "", "", ""]
    assert [len(ax.images) for ax in figure.axes] == [1, 2, 2] * 2


def test_pred_batch_reconstructs_images():
    learn = image_learner(1)
    images = learn.pred_batch(reconstruct=True)
    assert images.shape == (10, 1, 4, 4) and 0 <= images.min() <= images.max() <= 1


def test_show_results_of_something_else():
    learn = toy_learner()
    learn.model = nn.Conv2d(1, 2, 3)
    with pytest.raises(ValueError, match="show_results: no picture is known"):
        learn.loss_func = F.mse_loss
        learn.data.valid_dl.y = np.zeros((25, 4), np.float32)
        learn.show_results()


def test_plot_top_losses_shows_the_right_items(trained):
    losses, items = trained.top_losses(4)
    figure = trained.plot_top_losses(4)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    expected = trained.data.valid_dl.x[items, 0] * 0.25 + 0.5
    np.testing.assert_allclose(np.stack(shown), np.clip(expected, 0, 1), atol=1e-6)
    assert f"{losses[0]:.2f} /" in figure.axes[0].get_title()


def test_plot_confusion_matrix(trained):
    figure = trained.plot_confusion_matrix()
    texts = [int(text.get_text()) for text in figure.axes[0].texts]
    assert texts == trained.confusion_matrix().reshape(-1).tolist()
