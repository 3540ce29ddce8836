"""A ROS 2 node that finds people in depth images and names them as REP 155 (ROS4HRI) does.

    python ros2_node.py --ros-args -r image:=/camera/depth/image_rect_raw \
        -r camera_info:=/camera/depth/camera_info

It needs a ROS 2 of your own with rclpy, sensor_msgs and visualization_msgs; bodies and their
skeletons are published where hri_msgs is there, frames of the bodies where tf2_msgs is.

    image, camera_info                     in: 16UC1 in millimetres or 32FC1 in metres
    /humans/bodies/tracked                 hri_msgs/IdsList: who is there
    /humans/bodies/<id>/skeleton2d         hri_msgs/Skeleton2D
    /humans/bodies/markers                 visualization_msgs/MarkerArray, for rviz
    /tf                                    body_<id>, head_<id>, l_wrist_<id>, ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import rclpy
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from residualpose import Camera, DepthFrame, PoseEstimator, Poses, ResidualPoseError
from residualpose.sinks.rep155 import (
    MARKERS,
    TRACKED,
    Link,
    body_name,
    body_topic,
    links,
    marks,
    skeleton_2d,
)
from residualpose.sources.ros_bag import camera_of, depth_of
from residualpose.tracking import Follower

try:
    from hri_msgs.msg import IdsList, NormalizedPointOfInterest2D, Skeleton2D
except ImportError:  # markers need no more than ROS itself
    Skeleton2D = None
try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

# Only the newest image is worth its work: what comes meanwhile is dropped by the queue.
NEWEST = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)
PATIENCE_S = 2.5
"""Topics of somebody who has left stay for as long as the tracker waits."""


class PeopleNode(Node):
    """Depth images in, people out."""

    def __init__(self, estimate: PoseEstimator, smooth: float = 1.0) -> None:
        """Subscribe; `smooth` is how steady joints are, 0 to 4."""
        super().__init__("residualpose")
        self._estimate = estimate
        self._follower = Follower[Header](smooth, live=True)
        self._camera: Camera | None = None
        self._skeletons: dict[int, Any] = {}
        self._seen_s: dict[int, float] = {}
        self._markers = self.create_publisher(MarkerArray, MARKERS, 1)
        self._tracked = self.create_publisher(IdsList, TRACKED, 1) if Skeleton2D else None
        self._tf = self.create_publisher(TFMessage, "/tf", 10) if TFMessage else None
        self.create_subscription(CameraInfo, "camera_info", self.take_camera, NEWEST)
        self.create_subscription(Image, "image", self.take_image, NEWEST)

    def take_camera(self, info: CameraInfo) -> None:
        """Keep the camera of the images to come."""
        try:
            self._camera = camera_of("camera_info", info)
        except ResidualPoseError as error:
            self.get_logger().error(str(error), once=True)

    def take_image(self, image: Image) -> None:
        """Find the people of one image and publish them under its own time and frame."""
        if self._camera is None:
            self.get_logger().warning("no camera_info yet", once=True)
            return
        time_s = image.header.stamp.sec + image.header.stamp.nanosec * 1e-9
        try:
            values, unit_m = depth_of("image", image)
            frame = DepthFrame(values.astype("f4") * unit_m, self._camera, "image", 0, time_s)
        except ResidualPoseError as error:
            self.get_logger().error(str(error), once=True)
            return
        found = self._estimate(frame)
        for one in self._follower.push(image.header, found, time_s):
            self.publish(one.poses, one.payload, (frame.width, frame.height), time_s)

    def publish(self, poses: Poses, header: Header, size: tuple[int, int], time_s: float) -> None:
        """Publish the people of one image of `size` (width, height)."""
        people = [int(person) for person in poses.person_id]
        shown = [Marker(header=header, action=Marker.DELETEALL)]
        transforms: list[TransformStamped] = []
        for row in range(len(people)):
            shown += markers(poses, row, header)
            transforms += [transform(link, header) for link in links(poses, row, header.frame_id)]
        self._markers.publish(MarkerArray(markers=shown))
        if self._tf is not None and transforms:
            self._tf.publish(TFMessage(transforms=transforms))
        if self._tracked is not None:
            ids = [body_name(person) for person in people]
            self._tracked.publish(IdsList(header=header, ids=ids))
            for row, person in enumerate(people):
                self._seen_s[person] = time_s
                self._skeleton(person).publish(skeleton(poses, row, header, size))
            self._forget(time_s)

    def _skeleton(self, person: int) -> Any:
        if person not in self._skeletons:
            topic = body_topic(person, "skeleton2d")
            self._skeletons[person] = self.create_publisher(Skeleton2D, topic, 1)
        return self._skeletons[person]

    def _forget(self, time_s: float) -> None:
        for person in [p for p, seen_s in self._seen_s.items() if time_s - seen_s > PATIENCE_S]:
            del self._seen_s[person]
            self.destroy_publisher(self._skeletons.pop(person))


def skeleton(poses: Poses, row: int, header: Header, size: tuple[int, int]) -> Any:
    """One person as hri_msgs/Skeleton2D."""
    points = [
        NormalizedPointOfInterest2D(x=x, y=y, c=c)
        for x, y, c in skeleton_2d(poses, row, size).tolist()
    ]
    return Skeleton2D(header=header, skeleton=points)


def markers(poses: Poses, row: int, header: Header) -> Iterator[Marker]:
    """Joints, limbs and name of one person; guessed joints are faint."""
    shown = marks(poses, row)
    if shown is None:
        return
    person = int(poses.person_id[row])
    here = Pose(orientation=Quaternion(w=1.0))
    for name, kind, width_m, points_m, rgba in (
        ("joints", Marker.SPHERE_LIST, 0.06, shown.joints_m, shown.joints_rgba),
        ("limbs", Marker.LINE_LIST, 0.03, shown.limbs_m, shown.limbs_rgba),
    ):
        yield Marker(
            header=header, ns=name, id=person, type=kind,
            pose=here, scale=Vector3(x=width_m, y=width_m, z=width_m),
            points=[Point(x=x, y=y, z=z) for x, y, z in points_m.tolist()],
            colors=[ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in rgba.tolist()],
        )  # fmt: skip
    x, y, z = shown.name_m.tolist()
    yield Marker(
        header=header, ns="name", id=person, type=Marker.TEXT_VIEW_FACING, text=body_name(person),
        pose=Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0)),
        scale=Vector3(z=0.15), color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
    )  # fmt: skip


def transform(link: Link, header: Header) -> TransformStamped:
    """One frame of a body as tf has it."""
    x, y, z = link.translation_m.tolist()
    qx, qy, qz, qw = link.quaternion.tolist()
    return TransformStamped(
        header=Header(stamp=header.stamp, frame_id=link.parent), child_frame_id=link.child,
        transform=Transform(
            translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
        ),
    )  # fmt: skip


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    node = PeopleNode(PoseEstimator())
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
