"""Operations that several models share: boxes, scores, letterbox, resize, normalisation."""
