// Time: playing, and a strip that shows who is there when.

const ICONS = { Play: '<path d="M2 0l12 7-12 7z"/>', Pause: '<path d="M1 0h4v14H1zM9 0h4v14H9z"/>' };
const STRIP = { row: 5, most: 8, inset: 8 };
const clock = { started: null, from: 0 };

const playing = () => clock.started !== null;
const timeOf = (index) => DATA.frames[index].time_s - DATA.frames[0].time_s;
const lastIndex = () => DATA.frames.length - 1;

function play(on) {
  if (on === playing() || !lastIndex()) return;
  if (on && state.index === lastIndex()) showFrame(0);
  clock.started = on ? performance.now() : null;
  clock.from = timeOf(state.index);
  const word = on ? "Pause" : "Play";
  $("play").setAttribute("aria-label", word);
  $("play").innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true">${ICONS[word]}</svg>`;
  if (on) requestAnimationFrame(advance);
  else addTable();
}

// The frame whose time has come; a slow browser leaves some out. After the last, the first again.
function advance(now) {
  if (!playing()) return;
  const time = clock.from + (now - clock.started) / 1000;
  let index = state.index;
  while (index < lastIndex() && timeOf(index + 1) <= time) index++;
  if (index !== state.index) showFrame(index);
  else if (index === lastIndex() && time > timeOf(index) + 0.8) {
    showFrame(0);
    clock.started = now;
    clock.from = 0;
  }
  requestAnimationFrame(advance);
}

function goToFrame(index) {
  play(false);
  showFrame(index);
}

function showTime() {
  const { number } = frame(), seconds = (index) => timeOf(index).toFixed(timeOf(lastIndex()) < 100 ? 1 : 0);
  $("frame").value = String(state.index);
  $("frame").setAttribute("aria-valuetext", `frame ${number + 1} of ${DATA.recorded}`);
  $("counter").innerHTML = `<b>${seconds(state.index)}</b> of ${seconds(lastIndex())} s<br>frame ${number + 1} of ${DATA.recorded}`;
  drawPresence();
}

// A line a person, for as long as they are in sight.
function drawPresence() {
  if (!lastIndex()) return;
  const ids = [...new Set(DATA.frames.flatMap((f) => f.people.map((who) => who.id)))].sort((a, b) => a - b).slice(0, STRIP.most);
  const canvas = $("presence"), height = Math.max(1, ids.length) * STRIP.row + 4;
  canvas.style.height = `${height}px`;
  const width = canvas.clientWidth, context = prepareCanvas(canvas, width, height);
  const step = (width - 2 * STRIP.inset) / lastIndex(), x = (index) => STRIP.inset + index * step;
  DATA.frames.forEach((one, index) => one.people.forEach((who) => {
    const row = ids.indexOf(who.id);
    if (row < 0) return;
    context.fillStyle = css(DATA.palette[who.id % DATA.palette.length]);
    context.fillRect(x(index) - step / 2, 2 + row * STRIP.row, step + 0.5, STRIP.row - 1.5);
  }));
  context.fillStyle = INK;
  context.fillRect(x(state.index) - 0.75, 0, 1.5, height);
}

function listenToTime() {
  $("timeline").hidden = !lastIndex();
  $("frame").max = String(lastIndex());
  $("frame").addEventListener("input", (e) => goToFrame(Number(e.target.value)));
  $("previous").addEventListener("click", () => goToFrame(state.index - 1));
  $("next").addEventListener("click", () => goToFrame(state.index + 1));
  $("play").innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true">${ICONS.Play}</svg>`;
  $("play").addEventListener("click", () => play(!playing()));
  $("presence").addEventListener("pointerdown", (e) => {
    const box = e.target.getBoundingClientRect(), share = (e.clientX - box.left - STRIP.inset) / (box.width - 2 * STRIP.inset);
    goToFrame(Math.round(share * lastIndex()));
  });
  document.addEventListener("keydown", (e) => {
    if (e.key !== " " || e.target.closest("button, input, summary")) return;
    e.preventDefault();
    play(!playing());
  });
}
