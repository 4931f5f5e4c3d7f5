#!/usr/bin/python3
"""scikit-learn's SGDClassifier as a learner: one logistic regression for each class, trained by stochastic gradient
descent.

    tributary.export_arrays({"coef": zeros((10, 64)), "intercept": zeros(10)}, {"x": x, "label": y}, "digits.tpkg",
                            targets=["label"], metrics={"accuracy": "larger"})
"""
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from tributary import learner


def model_of(weights, config=None):
    plan = config or {"learning_rate": 1.0}
    model = SGDClassifier(
        loss="log_loss",
        learning_rate="constant",
        eta0=plan["learning_rate"],
        alpha=1e-6,
        random_state=config.seed if config else 0,
    )
    model.coef_, model.intercept_ = weights["coef"].astype(float), weights["intercept"].astype(float)
    model.classes_ = np.arange(len(model.intercept_))
    return model


def train(weights, examples, config):
    model = model_of(weights, config)
    for epoch in range(config["epochs"]):
        # A device may lack some of the classes.
        model.partial_fit(examples["x"], examples["label"], classes=model.classes_)
        config.progress(epoch + 1)
    return {"coef": model.coef_, "intercept": model.intercept_}, len(examples["label"]), {}


def evaluate(weights, examples, config):
    model, label = model_of(weights), examples["label"]
    probabilities = model.predict_proba(examples["x"])
    return {
        "loss": log_loss(label, probabilities, labels=model.classes_),
        "accuracy": (probabilities.argmax(1) == label).mean(),
    }


def predict(weights, inputs, config):
    return model_of(weights).decision_function(inputs["x"])


if __name__ == "__main__":
    learner.run(train, evaluate, predict)
