"""NanoDet-Plus-m: person, face and hand detection, and any other checkpoint of the family."""
