// Drawing: tips, and heatmaps on canvases. `make` is in render/static/elements.js.

/** A canvas of one pixel for each patch, to be stretched over the image. */
function gridCanvas(map, grid, top, style, opacity) {
  const small = make("canvas", { width: grid.cols, height: grid.rows });
  const pen = small.getContext("2d");
  const pixels = pen.createImageData(grid.cols, grid.rows);
  for (let j = 0; j < grid.rows * grid.cols; j += 1) pixels.data.set(paint(top > 0 ? map[j] / top : 0, style, opacity), j * 4);
  pen.putImageData(pixels, 0, 0);
  return small;
}

/** Draw an image and its heatmap. `look`: {style, opacity, smooth, outline, cursor}. */
function drawOverlay(canvas, picture, map, grid, top, look) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  // A small picture is shown as the pixels that it has; a large one is scaled down softly.
  pen.imageSmoothingEnabled = picture.naturalWidth > width / 2;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, width, height);
  pen.imageSmoothingEnabled = look.smooth;
  pen.drawImage(gridCanvas(map, grid, top, look.style, look.opacity), 0, 0, width, height);
  if (look.outline) drawOutline(pen, width, height, grid);
  if (look.cursor !== null && look.cursor !== undefined) drawCursor(pen, width, height, grid, look.cursor);
}

function drawOutline(pen, width, height, grid) {
  pen.save();
  pen.strokeStyle = "rgba(255,255,255,0.35)";
  pen.lineWidth = 1;
  pen.beginPath();
  for (let c = 1; c < grid.cols; c += 1) {
    const x = Math.round((c * width) / grid.cols) + 0.5;
    pen.moveTo(x, 0);
    pen.lineTo(x, height);
  }
  for (let r = 1; r < grid.rows; r += 1) {
    const y = Math.round((r * height) / grid.rows) + 0.5;
    pen.moveTo(0, y);
    pen.lineTo(width, y);
  }
  pen.stroke();
  pen.restore();
}

function drawCursor(pen, width, height, grid, patch) {
  const [row, col] = [Math.floor(patch / grid.cols), patch % grid.cols];
  const box = [(col * width) / grid.cols, (row * height) / grid.rows, width / grid.cols, height / grid.rows];
  pen.save();
  pen.lineWidth = 4;
  pen.strokeStyle = "#000";
  pen.strokeRect(...box);
  pen.lineWidth = 2;
  pen.strokeStyle = "#fff";
  pen.strokeRect(...box);
  pen.restore();
}

/** The colour bar: what the colours mean, in numbers. */
function drawScale(canvas, style) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  for (let x = 0; x < width; x += 1) {
    const t = x / (width - 1);
    const shade = style === "spotlight" ? Array(3).fill(255 * Math.sqrt(t)) : style === "signed" ? diverging(2 * t - 1) : viridis(t);
    pen.fillStyle = `rgb(${shade.map(Math.round).join(",")})`;
    pen.fillRect(x, 0, 1, height);
  }
}

/** Size a canvas for a picture so that it fits a box, in sharp pixels. */
function fit(canvas, width, height, maxWidth, maxHeight) {
  const scale = Math.min(maxWidth / width, maxHeight / height);
  const sharp = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.max(2, Math.round(width * scale * sharp));
  canvas.height = Math.max(2, Math.round(height * scale * sharp));
  canvas.style.width = `${Math.max(2, Math.round(width * scale))}px`;
}

/** One tip for everything below `root` that has a `data-tip`, shown on hover and focus, never cut off by a scrolling part. */
function attachTips(root) {
  const tip = make("div", { class: "tv-tip", role: "tooltip", hidden: true });
  root.parentElement.append(tip);
  const show = (event) => {
    const owner = event.target.closest?.("[data-tip]");
    tip.hidden = !owner;
    if (!owner) return;
    tip.textContent = owner.dataset.tip;
    const [box, size] = [owner.getBoundingClientRect(), tip.getBoundingClientRect()];
    const above = box.top - size.height - 6;
    tip.style.left = `${Math.max(6, Math.min(box.left, window.innerWidth - size.width - 6))}px`;
    tip.style.top = `${above < 6 ? box.bottom + 6 : above}px`;
  };
  const hide = () => (tip.hidden = true);
  for (const name of ["pointerover", "focusin"]) root.addEventListener(name, show);
  for (const name of ["pointerleave", "focusout"]) root.addEventListener(name, hide);
  window.addEventListener("scroll", hide, { passive: true, capture: true });
}
