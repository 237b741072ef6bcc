"""The rows of bench.py's tables: compared with launcher's, judged by the budgets, printed."""

KIB = 1024

BUDGETS = {  # measured value of launcher, or launcher : peer; at most
    "size": {"launcher": 200 * KIB, "launcher-init": 56 * KIB},
    "init": {"tini-static": 1.0, "dumb-init": 1.0, "catatonit": 1.0},
    "container": {"floor": 1.3, "bwrap": 0.5, "crun": 0.33, "runc": 0.1},
    "protected": {"floor": 1.3, "bwrap": 0.5, "crun": 0.33, "runc": 0.1},
    "idle": {"private_dirty_kib": 96, "wakeups_per_minute": 0},
    "memory": {"launcher": 1024},  # KiB
    "latency": {"tini-static": 1.0, "dumb-init": 1.0, "catatonit": 1.0},
    "orphans": {"tini-static": 1.0, "dumb-init": 1.0, "catatonit": 1.0},
}


def compare(rows, budgets, unit="ms"):
    """Adds launcher : peer, and what the budget says to the medians."""
    own, median, least = rows["launcher"], f"median_{unit}", f"min_{unit}"
    for name, row in rows.items():
        if name != "launcher" and median in row and median in own:
            row["ratio"] = own[median] / row[median]
            row["ratio_min"] = own[least] / row[least]
            row.update(verdict(row["ratio"], budgets.get(name)))
    return rows


def verdict(value, budget):
    return {} if budget is None else {"budget": budget, "verdict": "ok" if value <= budget else "OVER"}


def show(title, rows):
    columns = list(dict.fromkeys(key for row in rows.values() for key in row if key != "note"))
    table = [[title, *columns, ""]]
    for name, row in rows.items():
        cells = [f"{row[key]:.3f}" if isinstance(row.get(key), float) else str(row.get(key, "")) for key in columns]
        table.append([name, *cells, row.get("note") or ""])
    widths = [max(map(len, column)) for column in list(zip(*table))[:-1]]
    for line in table:
        cells = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))]
        print("  ".join([*cells, line[-1]]).rstrip())
    print(flush=True)
