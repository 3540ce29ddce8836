// The page around the 3D view: frames, toggles, the depth image, pointing at joints.

const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const WORDS = { measured: "measured", neighbour: "depth from nearby", prior: "guessed", absent: "absent" };
const INK = "#161a26";
// Thickness in metres and paleness of a stage; the last one is the result.
const STAGE_STYLE = {
  lifted: { limb: 0.006, joint: 0.014, pale: 0, grey: true },
  completed: { limb: 0.009, joint: 0.019, pale: 0.55, grey: false },
  refined: { limb: 0.018, joint: 0.031, pale: 0, grey: false },
};
const state = { index: 0, cloud: true, uncertainty: false, stages: {}, hover: null, image: null, person: null, scene: null };
let scene = null, wanted = false;

const frame = () => DATA.frames[state.index];
const mix = (a, b, s) => a.map((v, i) => v + s * (b[i] - v));
const css = (rgb) => `rgb(${rgb.map(Math.round).join(",")})`;

const hue = (person) => DATA.palette[frame().people[person].id % DATA.palette.length];

function jointColour(person, joint) {
  const base = hue(person), name = frame().skeleton.joints[joint];
  if (name.startsWith("right_")) return mix(base, [255, 255, 255], 0.52);
  return name.startsWith("left_") ? mix(base, [0, 0, 0], 0.3) : base;
}

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
function toGround(p, ground = frame().ground) {
  const { R_ground_camera: R, height_m: h } = ground;
  return [vec.dot(R[0], p), vec.dot(R[1], p) + h, vec.dot(R[2], p)];
}
const turnToGround = (p) => frame().ground.R_ground_camera.map((row) => vec.dot(row, p));

function stageJoints(name) {
  const stage = frame().stages.find((s) => s.name === name);
  return stage ? stage.joints_m : frame().people.map(() => []);
}

// Where people (or without them the cloud) are, over all frames of a camera that stood still:
// ground-frame corners.
const extents = new Map();
function extent() {
  const { scene: place } = frame();
  if (!extents.has(place)) extents.set(place, extentOf(DATA.frames.filter((f) => f.scene === place)));
  return extents.get(place);
}

function extentOf(frames) {
  const points = [];
  for (const one of frames)
    for (const q of one.stages.flatMap((s) => s.joints_m).flat()) if (q) points.push(toGround(q, one.ground));
  if (!points.length) {
    const { xyz, unit_m } = state.cloudData;
    for (let i = 0; i < xyz.length; i += 3 * 97)
      points.push(toGround([xyz[i] * unit_m, xyz[i + 1] * unit_m, xyz[i + 2] * unit_m]));
  }
  if (!points.length) points.push([-1, 0, -3], [1, 2, -2]);
  const low = [0, 1, 2].map((a) => points.reduce((least, p) => Math.min(least, p[a]), Infinity));
  const high = [0, 1, 2].map((a) => points.reduce((most, p) => Math.max(most, p[a]), -Infinity));
  return { low, high };
}

function viewpoint(name) {
  const { low, high } = extent(), middle = vec.scale(vec.add(low, high), 0.5);
  const half = Math.max(0.5 * vec.length(vec.sub(high, low)) + 0.25, 0.9);
  const narrow = $("stage").clientWidth / $("stage").clientHeight;
  const fov = (narrow < 1 ? 52 : 42) * (Math.PI / 180);
  const distance = half / Math.sin(fov / 2) / Math.min(1, narrow * 1.1) * (lastIndex() ? 0.74 : 0.93);
  const turn = { corner: [-0.55, 0.24], side: [Math.PI / 2, 0.02], top: [0, 1.553] }[name];
  if (turn) return { yaw: turn[0], pitch: turn[1], distance, target: middle, fov };
  // The depth camera's own place, direction and field of view.
  const eye = toGround([0, 0, 0]), back = turnToGround([0, 0, -1]), { width, height, camera } = frame();
  const reach = Math.max(0.5, vec.dot(vec.sub(eye, middle), back));
  return {
    yaw: Math.hypot(back[0], back[2]) < 0.1 ? 0 : Math.atan2(back[0], back[2]),
    pitch: Math.max(-1.553, Math.min(1.553, Math.asin(Math.max(-1, Math.min(1, back[1]))))),
    distance: reach, target: vec.add(eye, back, -reach),
    fov: 2 * Math.atan(1.04 * Math.max((0.5 * height) / camera.fy, (0.5 * width) / camera.fx / narrow)),
  };
}

function goTo(name) {
  if (!scene) return;
  const from = { ...scene.orbit }, to = viewpoint(name), start = performance.now();
  let turn = (to.yaw - from.yaw) % (2 * Math.PI);
  if (Math.abs(turn) > Math.PI) turn -= Math.sign(turn) * 2 * Math.PI;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const step = (now) => {
    const t = still ? 1 : Math.min(1, (now - start) / 320), s = t * t * (3 - 2 * t);
    scene.orbit = {
      yaw: from.yaw + s * turn, pitch: from.pitch + s * (to.pitch - from.pitch),
      distance: from.distance + s * (to.distance - from.distance), fov: from.fov + s * (to.fov - from.fov),
      target: vec.add(from.target, vec.sub(to.target, from.target), s),
    };
    redraw();
    if (t < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function redraw() {
  if (wanted) return;
  wanted = true;
  requestAnimationFrame(() => { wanted = false; drawAll(); });
}

function drawAll() {
  drawDepth();
  if (!scene) return;
  const items = { lines: [...gridLines(), cameraLines()], solids: [], shells: [], cloud: state.cloud };
  for (const stage of frame().stages) if (state.stages[stage.name]) addStage(items, stage);
  if (state.uncertainty) addShells(items);
  scene.draw(items);
  drawLabels();
}

function addStage(items, stage) {
  const style = STAGE_STYLE[stage.name] || STAGE_STYLE.completed;
  const paint = (p, j) => {
    const colour = style.grey ? [60, 66, 82] : mix(jointColour(p, j), [255, 255, 255], style.pale);
    return colour.map((v) => v / 255);
  };
  stage.joints_m.forEach((joints, p) => {
    const at = joints.map((q) => q && toGround(q)), origin = frame().people[p].origin;
    const ring = (j) => origin[j] === "prior";
    at.forEach((q, j) => {
      if (!q) return;
      const look = ring(j) ? LOOK.ring : origin[j] === "neighbour" ? LOOK.half : LOOK.solid;
      items.solids.push(scene.ball(q, style.joint * (ring(j) ? 1.5 : 1), look, paint(p, j)));
    });
    for (const [a, b] of frame().skeleton.limbs) {
      if (!at[a] || !at[b]) continue;
      const along = vec.sub(at[b], at[a]), length = vec.length(along), room = 1.5 * style.joint;
      const from = ring(a) ? vec.add(at[a], along, Math.min(0.45, room / length)) : at[a];
      const to = ring(b) ? vec.add(at[b], along, -Math.min(0.45, room / length)) : at[b];
      items.solids.push(scene.bar(from, to, style.limb, ring(a) || ring(b), paint(p, b)));
    }
  });
}

function addShells(items) {
  stageJoints("refined").forEach((joints, p) => joints.forEach((q, j) => {
    const shell = frame().people[p].shell_m[j];
    if (!q || shell.some((row) => !row)) return;
    const columns = [0, 1, 2].map((c) => turnToGround(shell.map((row) => row[c])));
    items.shells.push(scene.shell(toGround(q), columns, jointColour(p, j).map((v) => v / 255)));
  }));
}

function floorArea() {
  const { low, high } = extent();
  return [0, 2].map((a) => [Math.floor(2 * (low[a] - 0.6)) / 2, Math.ceil(2 * (high[a] + 0.6)) / 2]);
}

function gridLines() {
  const [[x0, x1], [z0, z1]] = floorArea(), fine = [], bold = [];
  for (let x = x0; x <= x1 + 1e-6; x += 0.5) (Number.isInteger(x) ? bold : fine).push(x, 0, z0, x, 0, z1);
  for (let z = z0; z <= z1 + 1e-6; z += 0.5) (Number.isInteger(z) ? bold : fine).push(x0, 0, z, x1, 0, z);
  return [{ points: fine, colour: [0.45, 0.5, 0.6, 0.25] }, { points: bold, colour: [0.35, 0.4, 0.5, 0.5] }];
}

// A small pyramid where the depth camera stands.
function cameraLines() {
  const { width, height, camera } = frame(), points = [], reach = 0.16;
  const corners = [[0, 0], [width, 0], [width, height], [0, height]].map(([u, v]) =>
    toGround([((u - camera.cx) / camera.fx) * reach, ((v - camera.cy) / camera.fy) * reach, reach]));
  const eye = toGround([0, 0, 0]), inside = vec.length(vec.sub(eye, scene.axes().eye)) < 0.6;
  if (!inside) corners.forEach((c, i) => points.push(...eye, ...c, ...c, ...corners[(i + 1) % 4]));
  return { points, colour: [0.14, 0.35, 0.78, 1] };
}

function prepareCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function drawLabels() {
  const canvas = $("labels"), context = prepareCanvas(canvas, canvas.clientWidth, canvas.clientHeight);
  const [[x0, x1], [z0, z1]] = floorArea(), { eye } = scene.axes();
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = "#3d4558";
  context.strokeStyle = "#ffffffd0";
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const write = (text, p) => {
    const at = scene.project(p);
    if (!at) return;
    context.strokeText(text, at[0], at[1]);
    context.fillText(text, at[0], at[1]);
  };
  // Numbers stand outside the grid, on the sides that face the viewer.
  const x = eye[0] > 0.5 * (x0 + x1) ? x1 + 0.16 : x0 - 0.16, z = eye[2] > 0.5 * (z0 + z1) ? z1 + 0.16 : z0 - 0.16;
  for (let m = Math.ceil(x0); m <= x1; m++) write(`${m}`, [m, 0, z]);
  for (let m = Math.ceil(z0); m <= z1; m++) write(`${-m} m`, [x, 0, m]);
  write("camera", vec.add(toGround([0, 0, 0]), [0, 0.14, 0]));
  // Who it is, above the head.
  context.font = "600 14px system-ui, sans-serif";
  frame().people.forEach((who, p) => {
    const joints = stageJoints("refined")[p], top = joints[frame().skeleton.joints.indexOf("head")] || joints.find(Boolean);
    if (top) { context.fillStyle = css(mix(hue(p), [0, 0, 0], 0.45)); write(`${who.id}`, vec.add(toGround(top), [0, 0.2, 0])); }
  });
  const hover = state.hover && jointAt(state.hover);
  const spot = hover && scene.project(hover);
  if (!spot) return;
  context.lineWidth = 2.5;
  context.strokeStyle = INK;
  context.beginPath();
  context.arc(spot[0], spot[1], 13, 0, 2 * Math.PI);
  context.stroke();
}

function jointAt({ stage, person, joint }) {
  const q = (stageJoints(stage)[person] || [])[joint];
  return q ? toGround(q) : null;
}

function drawMark(context, x, y, radius, origin, colour) {
  const disc = (r, paint) => { context.beginPath(); context.arc(x, y, r, 0, 2 * Math.PI); context.fillStyle = paint; context.fill(); };
  if (origin === "prior") {
    const ring = 1.4 * radius, dash = (2 * Math.PI * ring) / 6;
    for (const [width, paint] of [[0.5 * radius + 2, INK], [0.5 * radius, colour]]) {
      context.beginPath();
      context.setLineDash([0.64 * dash, 0.36 * dash]);
      context.arc(x, y, ring, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = paint;
      context.stroke();
    }
    context.setLineDash([]);
    return;
  }
  disc(radius + 1, INK);
  disc(radius, origin === "neighbour" ? "#fff" : colour);
  if (origin !== "neighbour") return;
  context.beginPath();
  context.arc(x, y, radius, 0.5 * Math.PI, 1.5 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

function drawDepth() {
  const canvas = $("depth"), { width, height, skeleton, people } = frame();
  const shown = canvas.parentElement.clientWidth, scale = shown / width;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = prepareCanvas(canvas, shown, height * scale);
  if (state.image && state.image.complete) context.drawImage(state.image, 0, 0, shown, height * scale);
  const limb = Math.max(1.5, shown / 170), at = (q) => [(q[0] + 0.5) * scale, (q[1] + 0.5) * scale];
  people.forEach(({ joints_px, origin }, p) => {
    for (const [a, b] of skeleton.limbs) {
      if (!joints_px[a] || !joints_px[b]) continue;
      const from = at(joints_px[a]), to = at(joints_px[b]), length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
      const cut = (j) => (origin[j] === "prior" ? Math.min(0.45, (2.2 * limb) / length) : 0);
      const point = (s) => [from[0] + s * (to[0] - from[0]), from[1] + s * (to[1] - from[1])];
      for (const [wide, paint] of [[limb + 2, INK], [limb, css(jointColour(p, b))]]) {
        context.beginPath();
        context.setLineDash(origin[a] === "prior" || origin[b] === "prior" ? [1.7 * limb, 1.3 * limb] : []);
        context.moveTo(...point(cut(a)));
        context.lineTo(...point(1 - cut(b)));
        context.lineWidth = wide;
        context.strokeStyle = paint;
        context.stroke();
      }
    }
    context.setLineDash([]);
    joints_px.forEach((q, j) => q && drawMark(context, ...at(q), 1.25 * limb + 0.4, origin[j], css(jointColour(p, j))));
  });
  const spot = state.hover && people[state.hover.person]?.joints_px[state.hover.joint];
  if (!spot) return;
  context.beginPath();
  context.arc(...at(spot), 11, 0, 2 * Math.PI);
  context.lineWidth = 2.5;
  context.strokeStyle = "#fff";
  context.stroke();
}
