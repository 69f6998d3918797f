"""What machines do to programs: kills, full and failing disks, no memory, clocks that jump; `make test-faults`.

A handful of them is fast and belongs to the ordinary tests; the rest has the marker ``faults``.
"""
