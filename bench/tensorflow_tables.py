"""The tables of bench/tensorflow, and the pages that hold them between marks."""

import pathlib

NAMES = ["ResNet50", "ResNet50V2", "MobileNet", "MobileNetV2", "InceptionV3", "VGG16", "VGG19",
         "NASNetMobile", "DenseNet121", "EfficientNetB0", "SSD-MobileNet-v1 SavedModel",
         "SSD-MobileNet-v1 frozen", "BERT encoder", "NCF", "LSTM"]
BATCHES = (1, 8)


def lines_of(head, rows):
    columns = head.split(" | ")
    if not rows:
        return "(Not measured on a quiet machine yet.)"
    return "\n".join([f"| {head} |", "|" + "---|" * len(columns), *(f"| {' | '.join(row)} |" for row in rows)])


def known(results):
    return [(name, results[name]) for name in NAMES if name in results]


def conversions(results):
    rows = []
    for name, row in known(results):
        errors = [f"{row[key]:.1e}" if key in row else "-" for key in ("error_exact", "error")]
        rows.append([name, str(row["nodes"]), str(row["nodes_after"]), str(row["engines"]),
                     ", ".join(map(str, row["engine_nodes"])) or "-", *errors])
    return lines_of("model | nodes before | after | engines | nodes per engine | error, exact | error, fast",
                    rows)


def speeds(results):
    rows = []
    for name, row in known(results):
        for batch in BATCHES:
            ms = row.get(f"ms_{batch}")
            if not ms:
                continue
            # Rows of before "apart" was measured: a call and a run, each timed alone.
            apart = ms.get("apart", ms["empty"] + ms["planish"])
            beyond = ms["converted"] - apart
            rows.append([name, str(batch), *(f"{ms[kind]:.2f}" for kind in
                                             ("tensorflow", "converted", "empty", "engine", "planish")),
                         f"{apart:.2f}",
                         f"{ms['tensorflow'] / ms['converted']:.2f}x",
                         f"{1e3 * beyond:+.0f} us, {100 * beyond / ms['planish']:+.1f} %"])
    return lines_of("model | batch | TensorFlow, ms | converted | empty call | engines | Planish alone | apart | "
                    "converted is | beyond Planish alone", rows)


def together(results):
    rows = []
    for name, row in known(results):
        for key in sorted(key for key in row if key.startswith("together_")):
            _, batch, threads = key.split("_")
            one = row[key]
            rows.append([name, batch, {"planish": "Planish's own", "tensorflow": "TensorFlow's"}[threads],
                         *(f"{one[kind]:.1f}" for kind in ("tensorflow", "tensorflow_beside", "converted",
                                                           "converted_beside")), f"{one['shares']:.2f}"])
    return lines_of("model | batch | engines' threads | original alone, 1/s | beside | converted alone, 1/s | "
                    "beside | shares together", rows)


def costs(results):
    """Predictions at batch 1 against what was measured: the call of an empty signature is no part of either."""
    rows = []
    for name, row in known(results):
        ms = row.get("ms_1")
        predicted = row.get("costs") or []
        if not ms or not predicted:
            continue
        told = [f"{sum(cost[key] for cost in predicted) / 1e3:.2f}" for key in
                ("tensorflow_us", "engine_us", "border_us", "gain_us")]
        if not all(cost["is_known"] for cost in predicted):
            name += " (assumed)"
        rows.append([name, told[0], f"{ms['tensorflow'] - ms['empty']:.2f}", told[1], f"{ms['engine']:.2f}",
                     told[2], f"{ms['converted'] - ms['empty'] - ms['engine']:.2f}", told[3],
                     f"{ms['tensorflow'] - ms['converted']:.2f}"])
    return lines_of("model | TensorFlow, ms | measured | engines | measured | border | measured | gain | "
                    "measured", rows)


def all_tables(results):
    return "\n\n".join(table(results) for table in (conversions, speeds, together, costs))


MARK = "<!-- bench/tensorflow: {} -->"


def put(page: pathlib.Path, key: str, table: str) -> None:
    """Between the page's marks of that key."""
    text = page.read_text()
    begin, end = MARK.format(key), MARK.format(f"end of {key}")
    if begin not in text or end not in text:
        raise SystemExit(f"{page} has no marks {begin} and {end}")
    head, rest = text.split(begin, 1)
    page.write_text(f"{head}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}")


def write_pages(root: pathlib.Path, results) -> None:
    page = root / "docs" / "tensorflow.md"
    for key, table in (("conversions", conversions), ("speeds", speeds), ("together", together)):
        put(page, key, table(results))
    put(root / "docs" / "measurements" / "partition_costs.md", "costs", costs(results))
