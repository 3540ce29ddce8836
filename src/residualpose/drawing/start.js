// Everything is there: put it on the page.

function start() {
  try {
    scene = new Scene($("scene"));
    listenToPointers($("scene"));
  } catch (error) {
    for (const id of ["toggles", "views", "hint", "scene", "labels"]) $(id).remove();
    const note = document.createElement("p");
    note.className = "message";
    note.textContent = `This browser cannot draw the 3D view (${error.message}); the depth image and the joint table still show everything found.`;
    $("stage").append(note);
  }
  addLegend();
  listenToDepth($("depth"));
  listenToTime();
  $("views")?.addEventListener("click", (e) => e.target.dataset.view && goTo(e.target.dataset.view));
  $("table").addEventListener("toggle", addTable);
  showFrame(0);
  window.addEventListener("resize", () => { drawPresence(); redraw(); });
}

start();
