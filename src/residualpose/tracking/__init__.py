"""People over time: who is who from frame to frame, and joints that move steadily.

poses of a frame -> tracker (assignment, births, deaths) -> smoother (filter, bones) -> poses
"""

from residualpose.tracking.follower import Followed, Follower, follow, follow_stream
from residualpose.tracking.track import Track
from residualpose.tracking.tracker import Tracker

__all__ = ["Followed", "Follower", "Track", "Tracker", "follow", "follow_stream"]
