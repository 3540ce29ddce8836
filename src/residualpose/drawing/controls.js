// Input: turning, moving, zooming, pointing at joints, switches, frames.

function describe({ stage, person, joint }) {
  const { people, skeleton, stages } = frame(), who = people[person], q = (stageJoints(stage)[person] || [])[joint];
  const lines = [`<b>${skeleton.joints[joint].replace("_", " ")}</b> <span>person ${who.id}${stages.length > 1 ? ", " + escaped(stage) : ""}</span>`];
  if (q) {
    lines.push(`x ${q[0].toFixed(2)}&ensp;y ${q[1].toFixed(2)}&ensp;z ${q[2].toFixed(2)} m`);
    lines.push(`<span>height ${toGround(q)[1].toFixed(2)} m above ${frame().ground.measured ? "the floor" : "the grid"}</span>`);
  }
  lines.push(`score ${fixed(who.joint_score[joint])}, ${WORDS[who.origin[joint]]}`);
  const shell = who.shell_m[joint];
  if (shell.every(Boolean)) {
    // Two deviations are packed; the mean square of an axis is the sum of squares over three.
    const deviation = Math.sqrt(shell.flat().reduce((sum, v) => sum + v * v, 0) / 3) / 2;
    lines.push(`<span>&plusmn; ${(100 * deviation).toFixed(1)} cm an axis (1 sd)</span>`);
  }
  return lines.join("<br>");
}

const fixed = (value) => value?.toFixed(2) ?? "unknown";
const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

function pointAt(hit, x, y) {
  const changed = JSON.stringify(hit) !== JSON.stringify(state.hover);
  state.hover = hit;
  const tip = $("tip"), box = $("stage");
  tip.hidden = !hit;
  if (hit) {
    if (changed) tip.innerHTML = describe(hit);
    tip.style.left = `${Math.max(8, Math.min(x + 18, box.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(y + 18, box.clientHeight - tip.offsetHeight - 8))}px`;
  }
  if (changed) redraw();
}

// The joint nearest to a place of the 3D view, within reach; the result before earlier stages.
function jointUnder(x, y, reach) {
  let best = null, least = reach;
  frame().stages.forEach((stage, order) => {
    if (!state.stages[stage.name]) return;
    stage.joints_m.forEach((joints, person) => joints.forEach((q, joint) => {
      const at = q && scene.project(toGround(q));
      if (!at) return;
      const away = Math.hypot(at[0] - x, at[1] - y) + 0.3 * at[2] - 0.5 * order;
      if (away < least) { least = away; best = { stage: stage.name, person, joint }; }
    }));
  });
  return best;
}

function move(dx, dy) {
  const { right, up } = scene.axes(), size = scene.metresPerPixel(), orbit = scene.orbit;
  orbit.target = vec.add(vec.add(orbit.target, right, -dx * size), up, dy * size);
}

function turn(dx, dy) {
  scene.orbit.yaw -= dx * 0.006;
  scene.orbit.pitch = Math.max(-1.553, Math.min(1.553, scene.orbit.pitch + dy * 0.006));
}

function zoom(factor) {
  scene.orbit.distance = Math.max(0.3, Math.min(30, scene.orbit.distance * factor));
}

function listenToPointers(canvas) {
  const held = new Map();
  let pressed = null;
  const place = (e) => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    held.set(e.pointerId, place(e));
    $("hint").hidden = true;
    pressed = place(e);
    canvas.classList.add("moving");
  });
  canvas.addEventListener("pointermove", (e) => {
    const now = place(e), before = held.get(e.pointerId);
    if (!before) { pointAt(jointUnder(...now, 18), ...now); return; }
    const dx = now[0] - before[0], dy = now[1] - before[1];
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== e.pointerId)[1];
      const gap = (p) => Math.max(8, Math.hypot(p[0] - other[0], p[1] - other[1]));
      zoom(gap(before) / gap(now));
      move(dx / 2, dy / 2);
    } else if (e.shiftKey || e.buttons & 6) move(dx, dy);
    else turn(dx, dy);
    held.set(e.pointerId, now);
    redraw();
  });
  const release = (e) => {
    const at = place(e);
    if (e.type === "pointerup" && pressed && Math.hypot(at[0] - pressed[0], at[1] - pressed[1]) < 5)
      pointAt(jointUnder(...at, e.pointerType === "touch" ? 30 : 18), ...at);
    held.delete(e.pointerId);
    if (!held.size) canvas.classList.remove("moving");
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => pointAt(null));
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("dblclick", () => goTo("corner"));
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom(Math.exp(Math.max(-80, Math.min(80, e.deltaY)) * 0.0022));
    redraw();
  }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    const act = {
      ArrowLeft: () => turn(-20, 0), ArrowRight: () => turn(20, 0), ArrowUp: () => turn(0, -20),
      ArrowDown: () => turn(0, 20), "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.1),
    }[e.key];
    if (!act) return;
    e.preventDefault();
    act();
    redraw();
  });
}

function listenToDepth(canvas) {
  const pick = (e) => {
    const box = canvas.getBoundingClientRect(), scale = box.width / frame().width;
    let best = null, least = 20;
    frame().people.forEach(({ joints_px }, person) => joints_px.forEach((q, joint) => {
      if (!q) return;
      const away = Math.hypot((q[0] + 0.5) * scale - (e.clientX - box.left), (q[1] + 0.5) * scale - (e.clientY - box.top));
      if (away < least) { least = away; best = { stage: "refined", person, joint }; }
    }));
    const at = best && jointAt(best), spot = scene && at && scene.project(at);
    pointAt(best, ...(spot || [12, 60]));
  };
  canvas.addEventListener("pointermove", pick);
  canvas.addEventListener("pointerdown", pick);
  canvas.addEventListener("pointerleave", () => pointAt(null));
}

function addToggles() {
  const box = $("toggles"), names = frame().stages.map((stage) => stage.name).join();
  if (box.dataset.names === names) return;
  box.dataset.names = names;
  box.replaceChildren();
  const add = (label, get, set) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-pressed", String(get()));
    button.addEventListener("click", () => {
      set(!get());
      button.setAttribute("aria-pressed", String(get()));
      redraw();
    });
    box.append(button);
  };
  add("Point cloud", () => state.cloud, (on) => { state.cloud = on; });
  for (const { name } of frame().stages) {
    state.stages[name] ??= name === "refined";
    add(name[0].toUpperCase() + name.slice(1), () => state.stages[name], (on) => { state.stages[name] = on; });
  }
  add("Uncertainty", () => state.uncertainty, (on) => { state.uncertainty = on; });
}

function addLegend() {
  const colour = css(DATA.palette[0]), mark = (inner) => `<svg viewBox="0 0 20 20" aria-hidden="true">${inner}</svg>`;
  const light = css(mix(DATA.palette[0], [255, 255, 255], 0.52)), deep = css(mix(DATA.palette[0], [0, 0, 0], 0.3));
  const disc = (fill) => `<circle cx="10" cy="10" r="6.5" fill="${fill}" stroke="${INK}" stroke-width="1.4"/>`;
  const bar = (fill) => `<rect x="1" y="7.5" width="18" height="5" rx="1.5" fill="${fill}" stroke="${INK}" stroke-width="1.2"/>`;
  const ring = (width, paint) => `<circle cx="10" cy="10" r="7" fill="none" stroke="${paint}" stroke-width="${width}" stroke-dasharray="4.7 2.63"/>`;
  const rows = [
    [disc(colour), "measured"],
    [disc("#fff") + `<path d="M10 4.2a5.8 5.8 0 0 0 0 11.6z" fill="${colour}"/>`, "depth from nearby"],
    [ring(4.6, INK) + ring(2.6, colour), "guessed"],
    [bar(light), "right"],
    [bar(deep), "left"],
  ];
  $("legend").innerHTML = rows.map(([inner, word]) => `<li>${mark(inner)}${word}</li>`).join("");
}

// Everybody of the recording: buttons stay where they are, so that they can be clicked in passing.
function addPeople() {
  const box = $("people"), { people } = frame();
  if (!box.children.length) {
    const ids = [...new Set(DATA.frames.flatMap((f) => f.people.map((who) => who.id)))].sort((a, b) => a - b);
    box.replaceChildren(...ids.map(personButton));
    if (!ids.length) box.innerHTML = `<p>Nobody was found in ${lastIndex() ? "these frames" : "this frame"}.</p>`;
  }
  for (const button of box.querySelectorAll("button")) {
    const who = people.find(({ id }) => String(id) === button.dataset.id);
    const measured = who && who.origin.filter((o) => o === "measured").length;
    button.lastChild.textContent = who ? `score ${fixed(who.score)} \u00b7 ${measured} of ${who.origin.length} measured` : "out of sight";
    button.classList.toggle("away", !who);
    button.setAttribute("aria-pressed", String(button.dataset.id === String(state.person)));
  }
}

function personButton(id) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Look at this person";
  button.dataset.id = id;
  button.innerHTML = `<i style="background:${css(DATA.palette[id % DATA.palette.length])}"></i>Person ${id}<span></span>`;
  button.addEventListener("click", () => {
    state.person = state.person === id ? null : id;
    lookAt(id);
    addPeople();
    redraw();
  });
  return button;
}

// Turn about somebody, where they are in this frame.
function lookAt(id) {
  const p = frame().people.findIndex((who) => who.id === id);
  const known = p < 0 ? [] : stageJoints("refined")[p].filter(Boolean).map((q) => toGround(q));
  if (!scene || !known.length || state.person !== id) return;
  scene.orbit.target = vec.scale(known.reduce((sum, q) => vec.add(sum, q), [0, 0, 0]), 1 / known.length);
  scene.orbit.distance = Math.min(scene.orbit.distance, 3);
}

function addTable() {
  if (playing() && !$("table").open) return;
  const { people, skeleton } = frame(), rows = [];
  people.forEach((who, p) => skeleton.joints.forEach((name, j) => {
    const q = stageJoints("refined")[p][j], cell = (v) => `<td>${v}</td>`;
    const numbers = q ? q.map((v) => v.toFixed(3)) : ["", "", ""];
    rows.push(`<tr>${[`${who.id} ${name.replace("_", " ")}`, ...numbers, fixed(who.joint_score[j]), WORDS[who.origin[j]]].map(cell).join("")}</tr>`);
  }));
  $("joints").innerHTML = "<tr><th>joint</th><th>x m</th><th>y m</th><th>z m</th><th>score</th><th>origin</th></tr>" + rows.join("");
}

function showFrame(index) {
  state.index = Math.max(0, Math.min(DATA.frames.length - 1, index));
  const { title, width, height, people, cloud, ground } = frame();
  $("title").textContent = title;
  state.cloudData = { xyz: new Int16Array(bytes(cloud.xyz).buffer), light: bytes(cloud.light), unit_m: cloud.unit_m, spread: cloud.spread };
  const found = people.length === 1 ? "1 person" : `${people.length} people`;
  $("summary").textContent = `${found}, ${width} \u00d7 ${height} depth, ${state.cloudData.light.length.toLocaleString("en")} points`;
  showPicture();
  if (scene) {
    const R = ground.R_ground_camera, column = (c) => R.map((row) => row[c]);
    const groundMatrix = frameMatrix(column(0), column(1), column(2), [0, ground.height_m, 0]), { low, high } = extentOf([frame()]);
    scene.setCloud(state.cloudData, groundMatrix, low, high);
    // A recording keeps its viewpoint; another scene gets its own.
    if (state.scene !== frame().scene) scene.orbit = viewpoint("corner");
    state.scene = frame().scene;
    if (state.person !== null) lookAt(state.person);
  }
  pointAt(null);
  if (scene) addToggles();
  addPeople();
  addTable();
  showTime();
  redraw();
}

// The picture of the frame before stays until the new one can be drawn.
function showPicture() {
  const picture = new Image(), { index } = state;
  picture.onload = () => {
    if (state.index !== index && !playing()) return;
    state.image = picture;
    redraw();
  };
  picture.src = frame().image;
}
